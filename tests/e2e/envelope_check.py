"""Check envelopes byte for byte, with the strictest types of all known servers.

usage: envelope_check.py FILE...      exit 0: all sound, 1: faults, each on a line

Written from the protocol's text, not from knell's code: develop.sentry.dev (envelopes,
event payloads), Sentry's published event schema, and what self-hosted servers decode into
typed structures.
"""
import datetime
import json
import re
import sys

HEX32 = re.compile(r"[0-9a-f]{32}")
HEX16 = re.compile(r"[0-9a-f]{16}")
ADDRESS = re.compile(r"0x[0-9a-f]{1,16}")
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|\+00:00)")
LEVELS = {"fatal", "error", "warning", "info", "debug"}
LOG_LEVELS = LEVELS - {"warning"} | {"trace", "warn"}
TRUSTS = {"none", "scan", "cfiscan", "fp", "cfi", "prewalked", "context"}
SESSION = {"ok", "exited", "crashed", "abnormal"}
ITEMS = {"event", "transaction", "session", "log", "attachment", "client_report"}
USER = {"id", "email", "username", "ip_address", "name", "segment", "data", "geo"}


class Check:
    def __init__(self, name):
        self.name, self.faults = name, []

    def need(self, ok, what, value=None):
        if not ok:
            self.faults.append(f"{self.name}: {what}" + (f": {value!r}" if value is not None else ""))
        return ok

    def matches(self, pattern, text, what):
        return self.need(isinstance(text, str) and pattern.fullmatch(text), what, text)

    def is_int(self, v, what, least=0):
        return self.need(type(v) is int and v >= least, what, v)


def seconds(t):
    if isinstance(t, (int, float)):
        return float(t)
    return datetime.datetime.fromisoformat(t.replace("Z", "+00:00")).timestamp()


def split(c, data):
    """Envelope head and items; every length exact, one newline behind each payload."""
    end = data.find(b"\n")
    head, at, items = json.loads(data[:end]), end + 1, []
    while at < len(data):
        end = data.find(b"\n", at)
        item = json.loads(data[at:end])
        c.is_int(item.get("length"), "item without a length", 1)
        payload = data[end + 1:end + 1 + item["length"]]
        at = end + 1 + item["length"]
        c.need(len(payload) == item["length"], "an item runs past the end")
        c.need(data[at:at + 1] == b"\n", "no newline behind a payload")
        at += 1
        items.append((item, payload))
    return head, items


def frames(c, where, stack, images):
    c.need(stack.get("frames"), f"{where}: no frames")
    for i, f in enumerate(stack.get("frames", [])):
        w = f"{where}.frames[{i}]"
        for k in ("instruction_addr", "symbol_addr", "image_addr"):
            if k in f:
                c.matches(ADDRESS, f[k], f"{w}.{k}")
        for k in ("lineno", "colno"):
            if k in f:
                c.is_int(f[k], f"{w}.{k}", 1)
        for k in ("function", "raw_function", "symbol", "filename", "abs_path", "package"):
            if k in f:
                c.need(isinstance(f[k], str) and 0 < len(f[k]) <= 256, f"{w}.{k}", f[k])
        c.need(isinstance(f.get("in_app"), bool), f"{w}: in_app is not said")
        c.need(f.get("filename"), f"{w}: no filename")
        c.need(f.get("trust", "cfi") in TRUSTS, f"{w}.trust", f.get("trust"))
        if "image_addr" in f:
            c.need(f["image_addr"] in images, f"{w}: of no image", f["image_addr"])
    for k, v in stack.get("registers", {}).items():
        c.matches(ADDRESS, v, f"{where}.registers.{k}")
    pc = stack.get("registers", {}).get("rip") or stack.get("registers", {}).get("pc")
    if pc:
        newest = stack["frames"][-1].get("instruction_addr", "0x0")
        c.need(int(pc, 16) == int(newest, 16), f"{where}: the newest frame is not at the pc")


def images_of(c, e):
    images = {}
    for m in e.get("debug_meta", {}).get("images", []):
        c.need(m["type"] == "elf" and m["code_file"], "image", m)
        c.matches(ADDRESS, m["image_addr"], "image_addr")
        c.is_int(m["image_size"], "image_size", 1)
        c.matches(GUID, m["debug_id"], "debug_id")
        code = bytes.fromhex(m.get("code_id", ""))
        if code:
            g = code[:16].ljust(16, b"\0")
            g = (g[3::-1] + g[5:3:-1] + g[7:5:-1] + g[8:]).hex()
            c.need(m["debug_id"].replace("-", "") == g, "debug_id is not of the code_id", m)
        images[m["image_addr"]] = m
    spans = sorted((int(a, 16), m["image_size"]) for a, m in images.items())
    c.need(all(a + n <= b for (a, n), (b, _) in zip(spans, spans[1:])), "images overlap")
    return images


def stacks(c, e, images):
    threads = e.get("threads", {}).get("values", [])
    ids = [t["id"] for t in threads]
    c.need(all(type(i) is int for i in ids) and len(set(ids)) == len(ids), "thread ids", ids)
    crash = False
    for i, x in enumerate(e.get("exception", {}).get("values", [])):
        c.need(x.get("type"), "exception without a type")
        m = x.get("mechanism", {})
        c.need(m.get("type") and isinstance(m.get("handled"), bool), "mechanism", m)
        crash |= m.get("handled") is False
        c.need(not re.search(r"0x[0-9a-f]{3}", x.get("value", "")), "an address groups badly", x)
        if threads:
            c.need(x.get("thread_id") in ids, "exception of no thread", x.get("thread_id"))
        if "stacktrace" in x:
            frames(c, f"exception[{i}]", x["stacktrace"], images)
            for t in threads:
                c.need(t["id"] != x["thread_id"] or "stacktrace" not in t, "a stack twice")
    for i, t in enumerate(threads):
        if "stacktrace" in t:
            frames(c, f"threads[{i}]", t["stacktrace"], images)
    n = sum(t.get("crashed") is True for t in threads)
    c.need(not (crash and threads) or n == 1, f"{n} threads crashed")


def check_event(c, e, head, raw):
    c.need(raw.startswith(b'{"event_id":"'), "event_id is not the first key")
    c.need(len(raw) <= 1 << 20, "more than 1 MiB")
    c.matches(HEX32, e.get("event_id"), "event_id")
    c.need(e["event_id"][12] == "4", "not a UUID of version 4", e["event_id"])
    c.need(head.get("event_id") == e["event_id"], "another event_id in the head")
    c.matches(TIME, e.get("timestamp"), "timestamp")
    c.need(e.get("level") in LEVELS and e.get("platform") == "native", "level or platform")
    c.need(not re.search(r"[\n\r\t\f/\\]", e.get("release", "")), "release", e.get("release"))
    c.need(len(e.get("release", "")) <= 200 and len(e.get("environment", "")) <= 64, "lengths")
    for k in ("exception", "threads", "breadcrumbs"):
        c.need(isinstance(e.get(k, {}), dict), f"{k} is a bare list")
    for k, v in e.get("tags", {}).items():
        c.need(re.fullmatch(r"[a-zA-Z0-9_.:-]{1,32}", k), "tag's key", k)
        c.need(isinstance(v, str) and 0 < len(v) <= 200 and "\n" not in v, f"tag {k}", v)
    for k, v in e.get("user", {}).items():
        c.need(k in USER and (k == "data" or isinstance(v, str)), f"user.{k}", v)
    c.need(all(isinstance(x, dict) for x in e.get("contexts", {}).values()), "contexts")
    c.need(all(isinstance(x, str) for x in e.get("fingerprint", [])), "fingerprint")
    last = 0.0
    for b in e.get("breadcrumbs", {}).get("values", []):
        c.need(b.get("level", "info") in LEVELS, "breadcrumb's level", b)
        c.need(seconds(b["timestamp"]) >= last, "breadcrumbs are not in order", b)
        last = seconds(b["timestamp"])
    stacks(c, e, images_of(c, e))


def check_transaction(c, t, head, raw):
    c.need(t.get("type") == "transaction" and t.get("transaction"), "no transaction")
    c.matches(HEX32, t.get("event_id"), "event_id")
    c.need(head.get("event_id") == t["event_id"], "another event_id in the head")
    trace = t["contexts"]["trace"]
    c.matches(HEX32, trace.get("trace_id"), "trace_id")
    c.matches(HEX16, trace.get("span_id"), "span_id")
    c.need(seconds(t["start_timestamp"]) <= seconds(t["timestamp"]), "times", t)
    for s in t.get("spans", []):
        c.need(s["trace_id"] == trace["trace_id"], "a span of another trace", s)
        c.matches(HEX16, s.get("span_id"), "span_id")
        c.matches(HEX16, s.get("parent_span_id"), "parent_span_id")
        c.need(seconds(s["start_timestamp"]) <= seconds(s["timestamp"]), "span's times", s)
    c.need(all(isinstance(v, str) for v in t.get("tags", {}).values()), "tags")


def check_session(c, s, head, raw):
    c.matches(GUID, s.get("sid"), "sid")
    c.need(s.get("status") in SESSION and isinstance(s.get("init"), bool), "status or init", s)
    c.matches(TIME, s.get("started"), "started")
    c.is_int(s.get("errors"), "errors", 1 if s["status"] == "crashed" else 0)
    c.need(s.get("duration", 0) >= 0, "duration", s)
    c.need(s["attrs"].get("release"), "no release")
    c.need(all(isinstance(v, str) for v in s["attrs"].values()), "attrs", s["attrs"])


def check_log(c, j, head, raw, item):
    c.need(item.get("content_type") == "application/vnd.sentry.items.log+json", "content_type")
    c.need(item.get("item_count") == len(j["items"]), "item_count", item)
    for one in j["items"]:
        c.matches(HEX32, one.get("trace_id"), "trace_id")
        c.need(isinstance(one.get("timestamp"), float), "timestamp", one.get("timestamp"))
        c.need(one.get("level") in LOG_LEVELS and isinstance(one.get("body"), str), "log", one)
        for a in one.get("attributes", {}).values():
            c.need(a.keys() == {"value", "type"}, "attribute", a)


def check_client_report(c, j, head, raw):
    c.need(len(raw) <= 4096, "more than 4 KiB")
    for d in j["discarded_events"]:
        c.need(d.get("reason") and d.get("category"), "discarded", d)
        c.is_int(d.get("quantity"), "quantity", 1)


def check_attachment(c, item, payload, head):
    c.need(head.get("event_id"), "an attachment without an event_id in the head")
    c.need(item.get("filename") and "/" not in item["filename"], "filename", item)
    if item.get("attachment_type") == "event.minidump":
        c.need(payload.startswith(b"MDMP"), "no minidump")


def check(name, data):
    c = Check(name)
    head, items = split(c, data)
    line = data[:data.find(b"\n")]
    c.matches(TIME, head.get("sent_at"), "sent_at")
    c.need(line.count(b'"sent_at"') == 1, "sent_at twice")
    c.need(head.get("sdk", {}).get("name"), "sdk")
    kinds = [i["type"] for i, _ in items]
    c.need(items and set(kinds) <= ITEMS, "kinds of items", kinds)
    for k in ("event", "transaction", "log"):
        c.need(kinds.count(k) <= 1, f"more than one {k}")
    c.need(not ("event" in kinds and "transaction" in kinds), "event and transaction")
    c.need("event" not in kinds or kinds[0] == "event", "the event is not the first item")
    for item, payload in items:
        kind = item["type"]
        if kind == "attachment":
            check_attachment(c, item, payload, head)
        elif kind == "log":
            check_log(c, json.loads(payload), head, payload, item)
        else:
            globals()["check_" + kind](c, json.loads(payload), head, payload)
    return c.faults, kinds


def main():
    faults, kinds = [], set()
    for name in sys.argv[1:]:
        with open(name, "rb") as f:
            found, have = check(name, f.read())
        faults += found
        kinds |= set(have)
    print("\n".join(faults + ["kinds: " + " ".join(sorted(kinds))]))
    return 1 if faults else 0


sys.exit(main())
