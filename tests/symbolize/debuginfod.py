#!/usr/bin/env python3
"""A stripped program dies; its debug file comes from a debuginfod server, or does not.

usage: debuginfod.py PROGRAM KNELL_UPLOAD KNELL [CASE...]

The server is scripted: it knows one build-id and treats it as the case says. Checked are
the event that knell-upload writes, what `knell show` says, what the server was asked, and
that every report goes out, whatever the server does.
"""
import gzip
import hashlib
import http.server
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

DEADLINE_S = 3


class Skip(Exception):
    pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.id, self.how, self.good, self.asked = "", "good", b"", []
        self.program = None
        self.stop = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self):
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address):
        pass  # clients of a slow answer leave


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def send(self, status, body=b"", length=None, **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        s = self.server
        s.asked.append(self.path)
        m = re.fullmatch(r"/(?:deep/)?buildid/([0-9a-f]+)/debuginfo", self.path)
        if s.program and self.path == f"/buildid/{s.id}/executable":
            self.send(200, s.program)
        elif self.path == "/moved":
            self.send(200, s.good)
        elif not m or m[1] != s.id or s.how == "missing":
            self.send(404, b"not found")
        elif s.how in ("good", "other", "garbage", "stripped", "empty"):
            self.send(200, s.good)
        elif s.how == "redirect":
            self.send(302, Location="/moved")
        elif s.how == "loop":
            self.send(302, Location=self.path)
        elif s.how == "loop_to_file":
            self.send(302, Location="file:///proc/self/exe")
        elif s.how == "failing":
            self.send(500)
        elif s.how == "packed":  # was not asked for; unpacked it would be 4 GB
            self.send(200, s.good, **{"Content-Encoding": "gzip"})
        elif s.how in ("headers", "continues", "slow_head"):
            self.head_without_end(s)
        elif s.how == "endless_error":
            self.send_response(404)
            self.end_headers()
            while not s.stop.is_set():
                self.wfile.write(bytes(1 << 16))
        elif s.how == "large":
            self.send(200, b"", length=10 << 30)
            self.close_connection = True
        elif s.how == "endless":  # does not say how large it is
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            while not s.stop.is_set():
                self.wfile.write(bytes(1 << 16))
        elif s.how == "short":
            self.send(200, s.good[:-100], length=len(s.good))
            self.close_connection = True
        elif s.how == "hangs":
            s.stop.wait(60)
            self.close_connection = True
        elif s.how == "trickles":
            self.send(200, b"", length=len(s.good))
            for byte in s.good:
                if s.stop.wait(0.1):
                    break
                self.wfile.write(bytes([byte]))

    def head_without_end(self, s):
        """Headers, answers of no meaning or single letters, for ever."""
        line = {"headers": b"X-More: " + b"x" * 1000 + b"\r\n", "slow_head": b"X",
                "continues": b"HTTP/1.1 100 Continue\r\n\r\n"}[s.how]
        if s.how != "continues":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not s.stop.wait(0.1 if s.how == "slow_head" else 0):
            self.wfile.write(line)


def run(*command, check=True, **kw):
    p = subprocess.run(command, capture_output=True, text=True, **kw)
    if check and p.returncode:
        sys.exit(f"{command}: exit {p.returncode}\n{p.stdout}{p.stderr}")
    return p


class Machine:
    """A stripped program, its spool, its outbox and a server of debug files."""

    def __init__(self, folder):
        self.folder = folder
        self.spool, self.outbox = f"{folder}/spool", f"{folder}/outbox"
        self.program = f"{folder}/dying"
        self.debug = f"{folder}/kept.debug"
        run("objcopy", "--only-keep-debug", PROGRAM, self.debug)
        run("strip", "-s", "-o", self.program, PROGRAM)
        notes = run("readelf", "-n", self.program).stdout
        self.id = re.search(r"Build ID: (\w+)", notes)[1]
        self.server = Server()
        self.server.id = self.id
        self.serve(self.debug)
        self.settings = {"KNELL_SYMBOLS_DEBUGINFOD_URLS": self.server.url()}

    def serve(self, path):
        with open(path, "rb") as f:
            self.server.good = f.read()

    def environment(self):
        kept = {k: v for k, v in os.environ.items()
                if not k.startswith(("KNELL_", "SENTRY_", "http", "DEBUGINFOD"))}
        return {**kept, "KNELL_SPOOL": self.spool, "KNELL_DSN": f"file://{self.outbox}",
                "KNELL_SYMBOLS_DEBUGINFOD_TIME": f"{DEADLINE_S}s",
                "KNELL_UPLOAD_RETRY_BASE": "600s", "KNELL_CONFIG": "/dev/null",
                **self.settings}

    def crash(self):
        p = run(self.program, check=False, env=self.environment())
        if p.returncode != -signal.SIGSEGV:
            sys.exit(f"the program ended with {p.returncode}: {p.stderr}")

    def upload(self):
        """One pass. Returns the new event and how long the pass took."""
        before = set(os.listdir(self.outbox)) if os.path.isdir(self.outbox) else set()
        began = time.monotonic()
        p = run(UPLOAD, "--verbose", check=False, env=self.environment(), timeout=120)
        took = time.monotonic() - began
        new = [n for n in os.listdir(self.outbox) if n not in before]
        if p.returncode or len(new) != 1:
            sys.exit(f"exit {p.returncode}, {len(new)} events: {p.stderr}")
        with open(f"{self.outbox}/{new[0]}", encoding="utf-8") as f:
            lines = f.read().split("\n")
        return json.loads(lines[2]), took

    def crash_and_upload(self):
        self.crash()
        return self.upload()

    def leftovers(self):
        """Files half done."""
        return [n for _, _, names in os.walk(f"{self.spool}/symbols") for n in names
                if n not in ("debuginfo", "note")]

    def show(self):
        p = run(KNELL, "show", "-1", "--json", env=self.environment())
        return json.loads(p.stdout)

    def asked(self):
        return sum(self.id in path for path in self.server.asked)


def frames_of(event):
    values = event["exception"]["values"][0]
    stack = values.get("stacktrace")
    if not stack:
        thread = next(t for t in event["threads"]["values"] if t["id"] == values["thread_id"])
        stack = thread["stacktrace"]
    return stack["frames"]


def is_named(event):
    top = frames_of(event)[-2:]
    return [f.get("function") for f in top] == ["dies_here", "inlined_read"] and all(
        f.get("lineno") for f in top) and all(
        f["data"]["symbolicator_status"] == "symbolicated" for f in top)


def said(event):
    return event["contexts"]["knell"].get("debuginfod", {}).get("dying")


def check(what, *about):
    if not what:
        raise AssertionError(about)


def module_shown(shown):
    """The module of the program in what `knell show --json` prints, wherever it is."""
    if isinstance(shown, dict):
        if shown.get("path", "").endswith("/dying") and "debuginfod" in shown:
            return shown
        shown = list(shown.values())
    if isinstance(shown, list):
        for one in shown:
            if isinstance(one, (dict, list)) and (found := module_shown(one)):
                return found
    return None


def write_bomb(m):
    one = gzip.compress(bytes(64 << 20))
    m.server.good = one * 64


# --- cases ----------------------------------------------------------------------------

def off_unless_configured(m):
    m.settings = {"DEBUGINFOD_URLS": m.server.url()}
    event, _ = m.crash_and_upload()
    check(not is_named(event) and said(event) is None, event["contexts"]["knell"])
    check(m.server.asked == [], m.server.asked)
    check(event["contexts"]["knell"]["modules_without_debug_info"]["dying"] == "missing")


def fetched(m):
    event, _ = m.crash_and_upload()
    check(is_named(event), frames_of(event)[-2:])
    check(said(event) is None and "dying" not in
          event["contexts"]["knell"].get("modules_without_debug_info", {}))
    check(m.asked() == 1, m.server.asked)
    kept = f"{m.spool}/symbols/{m.id}/debuginfo"
    with open(kept, "rb") as f:
        check(hashlib.sha256(f.read()).digest() ==
              hashlib.sha256(m.server.good).digest())
    check(not m.leftovers(), m.leftovers())
    # knell sees what the uploader fetched; the next report asks for nothing.
    shown = json.dumps(m.show())
    check("dies_here" in shown and "dying.c" in shown, shown[:2000])
    asked = len(m.server.asked)
    event, _ = m.crash_and_upload()
    check(is_named(event) and len(m.server.asked) == asked, m.server.asked)


def executable(m):
    """The program is gone: how to unwind its code comes from the server, too."""
    with open(m.program, "rb") as f:
        m.server.program = f.read()
    m.crash()
    os.rename(m.program, m.program + ".gone")
    event, _ = m.upload()
    check(is_named(event), frames_of(event)[-2:])
    kept = f"{m.spool}/symbols/{m.id}/executable"
    with open(kept, "rb") as f:
        check(f.read() == m.server.program)
    check([n for n in m.leftovers() if n != "executable"] == [], m.leftovers())
    asked = len(m.server.asked)
    check("dies_here" in json.dumps(m.show()))
    os.rename(m.program + ".gone", m.program)
    m.crash()
    os.remove(m.program)
    event, _ = m.upload()
    check(is_named(event) and event["contexts"]["knell"]["unwinder"] == "cfi",
          event["contexts"]["knell"])
    check(len(m.server.asked) == asked, m.server.asked)


def executable_of_no_use(m):
    """What comes instead of the program is its debug file: refused, and not asked for again."""
    m.server.program = m.server.good
    m.crash()
    os.rename(m.program, m.program + ".gone")
    event, _ = m.upload()
    check(is_named(event), frames_of(event)[-2:])
    with open(f"{m.spool}/symbols/{m.id}/executable.note", encoding="utf-8") as f:
        check(f.read() == "malformed\n")
    check(m.leftovers() == ["executable.note"], m.leftovers())
    asked = len(m.server.asked)
    os.rename(m.program + ".gone", m.program)
    m.crash()
    os.remove(m.program)
    m.upload()
    check(len(m.server.asked) == asked, m.server.asked)


def several_servers(m):
    other = Server()
    m.settings["KNELL_SYMBOLS_DEBUGINFOD_URLS"] = (
        f"ima:permissive {other.url()}/ http://127.0.0.1:9 {m.server.url()}/deep/buildid")
    event, _ = m.crash_and_upload()
    check(is_named(event), event["contexts"]["knell"])
    check(sum(m.id in p for p in other.asked) == 1 and m.asked() == 1)
    check(all(p.startswith("/deep/buildid/") for p in m.server.asked), m.server.asked)


def redirected(m):
    m.server.how = "redirect"
    event, _ = m.crash_and_upload()
    check(is_named(event), event["contexts"]["knell"])


def bad_answer(how, word, asked_again_s, serve=None, seconds=DEADLINE_S):
    """The report goes out with @word, the answer is kept for a time and then asked again."""
    def case(m):
        m.server.how = how
        if serve:
            serve(m)
        event, took = m.crash_and_upload()
        check(not is_named(event) and said(event) == word, event["contexts"]["knell"])
        check(took < seconds + 20, took)  # a loaded machine; far below any of curl's limits
        check(not os.path.exists(f"{m.spool}/symbols/{m.id}/debuginfo"))
        check(not m.leftovers(), m.leftovers())
        shown = module_shown(m.show())
        check(shown and shown["debuginfod"] == word and shown["debug_file"] == "missing", shown)
        text = run(KNELL, "show", "-1", env=m.environment()).stdout
        check(f"dying: no debug information was found for build-id {m.id}; "
              f"debuginfod: {word}\n" in text, text)
        asked = m.asked()
        event, _ = m.crash_and_upload()
        # Without a note, an answer about another module (libc's) lets the server be asked.
        check(said(event) == word and (m.asked() == asked or not asked_again_s),
              event["contexts"]["knell"])
        if not asked_again_s:
            return
        note = f"{m.spool}/symbols/{m.id}/note"
        old = time.time() - asked_again_s - 1
        os.utime(note, (old, old))
        state = f"{m.spool}/state"  # servers that rest
        if os.path.exists(state):
            os.remove(state)
        m.server.how = "good"
        m.serve(m.debug)
        event, _ = m.crash_and_upload()
        check(is_named(event) and not os.path.exists(note), event["contexts"]["knell"])
    return case


def write_garbage(m):
    m.server.good = b"\x7fELF" + bytes(range(256)) * 16


def write_other(m):
    path = f"{m.folder}/other"
    with open(f"{path}.c", "w", encoding="utf-8") as f:
        f.write("int main(void) { return 0; }\n")
    run("cc", "-g", "-Wl,--build-id", f"{path}.c", "-o", path)
    m.serve(path)


def write_nothing(m):
    m.server.good = b""


def limit(m):
    m.settings["KNELL_SYMBOLS_DEBUGINFOD_MAX_FILE"] = "1M"


def breaker(m):
    """A server that cannot be reached rests: the next reports do not wait for it."""
    m.server.how = "hangs"
    event, took = m.crash_and_upload()
    check(said(event) == "timeout" and took < DEADLINE_S + 20, said(event), took)
    shutil.rmtree(f"{m.spool}/symbols")
    asked = len(m.server.asked)
    event, _ = m.crash_and_upload()
    check(len(m.server.asked) == asked, "asked although it rests")
    check(not is_named(event))


def many_reports_one_deadline(m):
    m.server.how = "hangs"
    for _ in range(5):
        m.crash()
    began = time.monotonic()
    p = run(UPLOAD, "--all", check=False, env=m.environment(), timeout=120)
    check(p.returncode == 0 and len(os.listdir(m.outbox)) == 5, p.stderr)
    check(time.monotonic() - began < 2 * DEADLINE_S + 20)


def no_consent_no_question(m):
    m.settings["KNELL_UPLOAD_CONSENT"] = "no"
    m.crash()
    run(UPLOAD, check=False, env=m.environment(), timeout=120)
    check(m.server.asked == [], m.server.asked)


def killed_while_fetching(m):
    m.server.how = "hangs"
    m.crash()
    p = subprocess.Popen([UPLOAD], env=m.environment())
    while not m.server.asked and p.poll() is None:
        time.sleep(0.01)
    p.kill()
    p.wait()
    m.server.how = "good"
    event, _ = m.upload()
    check(is_named(event), event["contexts"]["knell"])


def stopped_while_fetching(m):
    m.server.how = "hangs"
    m.settings["KNELL_SYMBOLS_DEBUGINFOD_TIME"] = "100s"
    m.crash()
    p = subprocess.Popen([UPLOAD], env=m.environment())
    while not m.server.asked and p.poll() is None:
        time.sleep(0.01)
    p.terminate()
    check(p.wait(timeout=60) is not None)
    check(len(os.listdir(m.outbox)) == 1 or os.listdir(f"{m.spool}/wait"))


def kept_within_bounds(m):
    m.crash_and_upload()
    check(os.path.exists(f"{m.spool}/symbols/{m.id}/debuginfo"))
    for i in range(3):  # older ones
        folder = f"{m.spool}/symbols/{i:040x}"
        os.mkdir(folder)
        with open(f"{folder}/debuginfo", "wb") as f:
            f.write(bytes(1 << 20))
        os.utime(f"{folder}/debuginfo", (i + 1, i + 1))
    size = os.stat(f"{m.spool}/symbols/{m.id}/debuginfo").st_blocks * 512
    m.settings["KNELL_SYMBOLS_DEBUGINFOD_MAX_BYTES"] = str(size + (1 << 20) + (1 << 19))
    os.rename(f"{m.spool}/symbols/{m.id}", f"{m.folder}/away")
    event, _ = m.crash_and_upload()
    check(is_named(event))
    left = sorted(n for n in os.listdir(f"{m.spool}/symbols")
                  if os.path.exists(f"{m.spool}/symbols/{n}/debuginfo"))
    check(left == sorted([f"{2:040x}", m.id]), left)


def real_server(m):
    """The server that elfutils brings."""
    if not shutil.which("debuginfod"):
        raise Skip("no debuginfod")
    files = f"{m.folder}/files"
    os.mkdir(files)
    shutil.copy(m.debug, f"{files}/dying.debug")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    p = subprocess.Popen(["debuginfod", "-p", str(port), "-d", ":memory:", "-F", files],
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                         env={**os.environ, "HOME": m.folder, "DEBUGINFOD_URLS": ""})
    try:
        for _ in range(600):  # until it has looked through the folder
            try:
                with urllib.request.urlopen(f"{url}/buildid/{m.id}/debuginfo", timeout=10):
                    break
            except OSError:
                check(p.poll() is None, "it ended")
                time.sleep(0.1)
        m.settings["KNELL_SYMBOLS_DEBUGINFOD_URLS"] = url
        event, _ = m.crash_and_upload()
        check(is_named(event), event["contexts"]["knell"])
        check(event["contexts"]["knell"].get("debuginfod", {}).get("libc.so.6") in
              ("missing", None), event["contexts"]["knell"])
    finally:
        p.terminate()
        p.wait()


HOUR_S, DAY_S = 3600, 86400
CASES = {
    "off_unless_configured": off_unless_configured,
    "fetched": fetched,
    "executable": executable, "executable_of_no_use": executable_of_no_use,
    "several_servers": several_servers,
    "redirected": redirected,
    "missing": bad_answer("missing", "missing", HOUR_S),
    "mismatch": bad_answer("other", "build_id_mismatch", DAY_S, write_other),
    "malformed": bad_answer("garbage", "malformed", DAY_S, write_garbage),
    "empty": bad_answer("empty", "malformed", DAY_S, write_nothing),
    "stripped": bad_answer("stripped", "no_debug_info", DAY_S, lambda m: m.serve(m.program)),
    "too_large": bad_answer("large", "too_large", DAY_S),
    "endless": bad_answer("endless", "too_large", DAY_S, limit),
    "black_hole": bad_answer("hangs", "timeout", HOUR_S),
    "slow_loris": bad_answer("trickles", "timeout", HOUR_S),
    "redirect_loop": bad_answer("loop", "unreachable", 0),
    "failing": bad_answer("failing", "unreachable", 0),
    "packed": bad_answer("packed", "malformed", DAY_S, write_bomb),
    "headers": bad_answer("headers", "unreachable", 0),
    "continues": bad_answer("continues", "unreachable", 0),
    "slow_head": bad_answer("slow_head", "timeout", HOUR_S),
    "endless_error": bad_answer("endless_error", "missing", HOUR_S),
    "redirect_to_file": bad_answer("loop_to_file", "unreachable", 0),
    "short_body": bad_answer("short", "unreachable", 0),
    "breaker": breaker,
    "many_reports_one_deadline": many_reports_one_deadline,
    "no_consent_no_question": no_consent_no_question,
    "killed_while_fetching": killed_while_fetching,
    "stopped_while_fetching": stopped_while_fetching,
    "kept_within_bounds": kept_within_bounds,
    "real_server": real_server,
}


PROGRAM = UPLOAD = KNELL = None


def play(cases):
    """Each case on a machine of its own; ends the program."""
    global PROGRAM, UPLOAD, KNELL
    PROGRAM, UPLOAD, KNELL = (os.path.abspath(p) for p in sys.argv[1:4])
    bad = 0
    for name, case in cases.items():
        if len(sys.argv) > 4 and name not in sys.argv[4:]:
            continue
        with tempfile.TemporaryDirectory(prefix="knell-debuginfod-") as folder:
            m = Machine(folder)
            os.mkdir(m.outbox)
            try:
                case(m)
                print(f"ok   {name}", flush=True)
            except Skip as e:
                print(f"skip {name}: {e}", flush=True)
            except AssertionError as e:
                bad += 1
                print(f"FAIL {name}, line {e.__traceback__.tb_lineno}: {e} "
                      f"{[t.tb_lineno for t in walk(e.__traceback__)]}", flush=True)
            finally:
                m.server.stop.set()
                m.server.shutdown()
                m.server.server_close()
    sys.exit(1 if bad else 0)


def walk(t):
    while t:
        yield t
        t = t.tb_next


if __name__ == "__main__":
    play(CASES)
