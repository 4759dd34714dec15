"""Every command of `knell`, as text and as JSON, on a spool that real crashes made.

usage: golden.py KNELL KNELL-UPLOAD VICTIM SOURCE_DIR [update]

Texts and objects are compared with golden/ once what differs between runs, machines and
libcs is replaced. JSON is checked against the schema that is installed; a member that the
schema does not know fails. Every command also runs on reports whose names try to drive the
terminal, and on a terminal of its own for colours and the pager.
"""
import ctypes, difflib, html.parser, http.server, json, os, pty, re, select, shutil, signal
import subprocess, sys, tempfile, termios, threading, time, struct, fcntl, unicodedata

KNELL, UPLOAD, VICTIM, SOURCE = (os.path.abspath(p) for p in sys.argv[1:5])
UPDATE = sys.argv[5:] == ["update"]
GOLDEN = os.path.join(SOURCE, "tests/inspect/golden")
TMP = os.path.realpath(tempfile.mkdtemp(prefix="knell-test."))
failed = False


def fail(text):
    global failed
    failed = True
    print("FAIL:", text, file=sys.stderr)


def environment(**more):
    env = {"PATH": os.path.dirname(UPLOAD) + ":/usr/bin:/bin", "HOME": TMP, "TZ": "UTC",
           "LC_ALL": "C.UTF-8", "TERM": "xterm", "KNELL_CONFIG": "/dev/null"}
    for key in ("ASAN_OPTIONS", "LSAN_OPTIONS", "UBSAN_OPTIONS"):
        if key in os.environ:
            env[key] = os.environ[key]
    env.update(more)
    return {k: v for k, v in env.items() if v is not None}


def knell(spool, *words, **env):
    return subprocess.run([KNELL, "--spool", spool, *words], env=environment(**env),
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120)


def on_terminal(spool, *words, columns=80, **env):
    """What it writes to a terminal of so many columns, and its exit code."""
    pid, fd = pty.fork()
    if pid == 0:
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        os.execve(KNELL, [KNELL, "--spool", spool, *words], environment(**env))
    out = b""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if not select.select([fd], [], [], 1)[0]:
            continue
        try:
            more = os.read(fd, 65536)
        except OSError:
            break
        if not more:
            break
        out += more
    else:
        os.kill(pid, signal.SIGKILL)
        fail("on a terminal %s: did not end" % (words,))
    os.close(fd)
    out = re.sub(rb"\rReading [^\r\n]*(?=\r)|\r\x1b\[K", b"", out) # a bar, where it is slow
    return out.replace(b"\r\n", b"\n"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# --- the spool

def crash(spool, how, *more, victim=VICTIM, kill=None):
    env = environment(KNELL_SPOOL=spool)
    child = subprocess.Popen([victim, how, *more], env=env, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    if kill:
        live, until = os.path.join(spool, "live"), time.monotonic() + 30
        while time.monotonic() < until:
            if any(n.endswith(".jnl") and "-%d-" % child.pid in n for n in
                   (os.listdir(live) if os.path.isdir(live) else [])):
                break
            time.sleep(0.01)
        time.sleep(0.1)
        child.send_signal(kill)
    child.wait()


def upload(spool, *more, **env):
    return subprocess.run([UPLOAD, "--spool", spool, "--all", "--quiet", *more],
                          env=environment(**env), stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=120)


def name_of(spool, *keys):
    r = knell(spool, "-F", "event_id", *keys)
    return r.stdout.decode().split("\n")[0][:8]


def make_spool():
    """One sent, one waiting after a failure, one quarantined, one held, the rest new."""
    spool = os.path.join(TMP, "spool")
    crash(spool, "null")
    r = upload(spool, KNELL_DSN="file://" + os.path.join(TMP, "out"))
    if r.returncode:
        fail("upload to a folder: %d %s" % (r.returncode, r.stderr.decode()))
    crash(spool, "divide")
    upload(spool, KNELL_DSN="http://0123456789abcdef0123456789abcdef@127.0.0.1:1/1")
    crash(spool, "abort")
    knell(spool, "hold", "-1")
    for how in ("overflow", "call", "error"):
        crash(spool, how)
    crash(spool, "wait", kill=signal.SIGKILL)
    with open(os.path.join(spool, "new", "not-a-report"), "w") as f:
        f.write("garbage")
    return spool


# --- what differs between runs

WORDS = [
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?( UTC|Z)?", "TIME"),
    (r"\b\d{13}-[0-9a-f]{12}-[0-9a-f]{32}-s(\d\d)\.a\d\d\.n\d{10}", r"FILE-s\1"),
    (r"\b[0-9a-f]{40}\b", "BUILD-ID"), (r"\b[0-9a-f]{32}\b", "EVENT"),
    (r"\b[0-9a-f]{16}\b", "WORD"), (r"\b[0-9a-f]{12}\b", "SIGNATURE"),
    (r"\b0x[0-9a-f]{5,}\b", "ADDRESS"), (r"\+0x[0-9a-f]+", "+OFFSET"),
    (r"(?m)^( *)[0-9a-f]{8}(?=  TIME|: | \w+ -> )", r"\1ID"), (r"(?<=TIME  )[0-9a-f]{8}  ", "ID  "),
    (r"(?<![\w.])\d+(\.\d+)?(ms|s|min|m|h)( \d+(ms|s))?(?= ago| of life| before|  |\)|$)", "AGE"),
    (r"\bjust(?= before)", "AGE"),
    (r"\bPID \d+", "PID N"), (r"\b([Tt]hread|process) \d+", r"\1 N"), (r', \d+ "', ', N "'),
    (r"\b(user) \d+", r"\1 N"), (r", on \S+", ", on HOST"), (r"\b\d+ bytes", "N bytes"),
    (r"\b\d+ KiB", "N KiB"), (r"\d+ (more times|calls deep|frames are left)", r"N \1"), (r"#\d{3,}", "#N"),
    (r"(?m)(  victimd +(2\.4\.1)? *) \d+  ", r"\1 PID  "),
    (r"(?m)^ +(System|Cgroup) .*\n", ""), (r"inspect_victim\.c:4\d\b", "inspect_victim.c:N"),
    (r"\S*/lldb\b", "lldb"), (r"(?m)^.*(libc\.so|libc_start|_start  |start_thread|clone3?  ).*\n", ""),
    (r"(?m)^ +([a-z0-9]{1,3} WORD *)+\n", "  REGISTERS\n"), (r"(  REGISTERS\n)+", "  REGISTERS\n"),
    (r"- the cgroup.*", "- CGROUP"), (r"- what is left", "- what is left"),
    (r"\S*…", "…"), (r"\d+\.\d ms", "N ms"), (r"cmd_test\.c:\d+", "cmd_test.c:N"), (r"on lease|\(\d+s\)", "(AGE)"), (r"next try TIME", "next try TIME"),
    (r"127\.0\.0\.1:1.*", "127.0.0.1:1: REFUSED"), (r" +$", ""), (r"(?<=\S)  +", "  "),
    (r"(?m)^ +", "  "), (r"\d+(?= of [0-9]+ files)", "N"),
]


def normal(text):
    text = text.replace(TMP, "TMP").replace(os.path.dirname(VICTIM), "BUILD")
    text = text.replace(SOURCE, "SOURCE")
    for pattern, word in WORDS:
        text = re.sub(pattern, word, text, flags=re.M)
    return text


VOLATILE = {"event_id", "newest", "pid", "tid", "bytes", "uptime_ms", "server_name", "signature",
            "pc", "base", "size", "build_id", "module_offset", "time", "first_seen", "last_seen",
            "oldest", "not_before", "next_try", "bytes_today", "report_file", "ms", "os", "kernel",
            "libc", "cpus", "arch", "file_bytes", "freed_bytes", "value", "origin", "sender_pid",
            "sender_uid", "script", "version"}


def is_of_libc(frame):
    module = frame.get("module") or ""
    return re.search(r"/(libc|ld-linux|libpthread)[^/]*$", module) or frame["function"] == "_start"


def shape(value, key=None):
    """JSON with what is volatile replaced by its type."""
    if key in VOLATILE and not isinstance(value, (dict, list)):
        return None if value is None else type(value).__name__
    if isinstance(value, dict):
        if key in ("registers", "data"):
            return {k: type(v).__name__ for k, v in value.items()} if key == "data" else {}
        return {k: shape(v, key if key == "bytes" else k) for k, v in value.items()}
    if isinstance(value, list):
        if key == "frames":
            value = [f for f in value if not is_of_libc(f)][:4]
        if key == "modules":
            value = [m for m in value if (m["path"] or "").endswith("inspect_victim")]
        if key == "settings":
            value = [s["section"] + "." + s["key"] for s in value]
        if key == "commands":
            value = [c["name"] for c in value]
        return [shape(v) for v in value]
    return normal(value) if isinstance(value, str) else value


def compare(name, text):
    path = os.path.join(GOLDEN, name)
    if UPDATE:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        return
    try:
        with open(path) as f:
            want = f.read()
    except FileNotFoundError:
        want = ""
    if want != text:
        fail("%s differs:\n%s" % (name, "".join(difflib.unified_diff(
            want.splitlines(True), text.splitlines(True), "golden", "now"))))


# --- the schema

with open(os.path.join(SOURCE, "uploader/inspect/knell.schema.json")) as f:
    SCHEMA = json.load(f)
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
         "integer": int, "number": (int, float)}


def members_of(schema):
    """Properties, and which are required, of an object with all that it is made of."""
    if "$ref" in schema:
        return members_of(SCHEMA["$defs"][schema["$ref"].split("/")[-1]])
    known, required = dict(schema.get("properties", {})), list(schema.get("required", []))
    for part in schema.get("allOf", []):
        more, needed = members_of(part)
        known.update(more)
        required += needed
    return known, required


def check(value, schema, where):
    if "$ref" in schema:
        return check(value, SCHEMA["$defs"][schema["$ref"].split("/")[-1]], where)
    kinds = schema.get("type", "object" if "allOf" in schema else None)
    if kinds:
        kinds = kinds if isinstance(kinds, list) else [kinds]
        if not any(isinstance(value, TYPES[k]) and (k == "boolean" or not isinstance(value, bool))
                   for k in kinds):
            return fail("%s: %r is no %s" % (where, value, kinds))
    if "enum" in schema and value not in schema["enum"]:
        fail("%s: %r is none of %s" % (where, value, schema["enum"]))
    if "const" in schema and value != schema["const"]:
        fail("%s: %r is not %r" % (where, value, schema["const"]))
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        fail("%s: %r does not match %s" % (where, value, schema["pattern"]))
    if isinstance(value, list):
        for i, element in enumerate(value):
            check(element, schema["items"], "%s[%d]" % (where, i))
    if isinstance(value, dict):
        known, required = members_of(schema)
        for key in required:
            if key not in value:
                fail("%s lacks %s" % (where, key))
        for key, member in value.items():
            rest = schema.get("additionalProperties")
            if key not in known and not rest:
                fail("%s.%s is not in the schema" % (where, key))
            elif key in known or rest:
                check(member, known.get(key, rest), "%s.%s" % (where, key))


def check_object(command, text):
    try:
        value = json.loads(text)
    except ValueError as e:
        fail("%s --json is no JSON: %s: %r" % (command, e, text[:200]))
        return {}
    head = {k: value.pop(k, None) for k in ("schema", "command")}
    if head != {"schema": SCHEMA["properties"]["schema"]["const"], "command": command}:
        fail("%s --json begins with %r" % (command, head))
    check(value, SCHEMA["$defs"]["command_" + command], command)
    return value


# --- what is tried

def harmless(what, data, colours=False):
    text = data.decode("utf-8", "replace")
    if colours:
        text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    bad = re.findall(r"[^\n\x20-\x7e\xa0-\u200a\u2010-\u2027\u2030-\u205f\u2070-\ufefe\uff00-\U000dffff]", text)
    if bad:
        fail("%s: control characters reach the reader: %r in %r" % (what, bad[:4], text[:300]))


def commands(tmp, null, walk):
    """(name, exit code, words): in an order in which each finds what it needs."""
    tar, page, dump = (os.path.join(tmp, n) for n in ("bundle.tar", "page.html", "one.dmp"))
    return [
        ("list", 0, ["list"]), ("show", 0, ["show", null]), ("stack", 0, ["stack", walk]),
        ("threads", 0, ["threads", null]), ("crumbs", 0, ["crumbs", null]), ("top", 0, ["top"]),
        ("log", 0, ["log"]), ("status", 9, ["status"]), ("consent", 0, ["consent"]),
        ("config", 0, ["config"]), ("verify", 5, ["verify"]), ("help", 0, ["help"]),
        ("dump", 0, ["dump", null, "-o", dump]), ("export", 0, ["export", null, "-o", tar]),
        ("report", 0, ["report", "-o", page]), ("retry", 0, ["retry", "--state", "wait"]),
        ("debug", 0, ["debug", null, "--dry-run", "--debugger", "lldb"]),
        ("clean", 0, ["clean", "--older", "1d"]), ("upload", 9, ["upload"]),
        ("test", 0, ["test", "file://" + os.path.join(tmp, "trial")]),
        ("watch", 3, ["watch", "--timeout", "1s", "--interval", "1s"]),
        ("completion", 0, ["completion", "fish"]),
    ]


def moves(one):
    return [("hold", 0, ["hold", one]), ("release", 0, ["release", one]),
            ("rm", 0, ["rm", "--yes", one])]


# How a person sees them; what fits any width is looked at once.
WIDTHS = {"list": (60, 80, 200, None), "top": (60, 200, None), "show": (60, None)}
ARRAYS = {"list": "report", "retry": "move", "hold": "move", "release": "move", "rm": "move", "top": "signature", "log": "log_line", "verify": "finding",
          "status": "spool_status"}
# Whose text is a file of its own, or depends on the machine.
NO_TEXT = {"completion", "config"}


def texts_and_objects(spool):
    null, walk = name_of(spool, "function=bytes_left"), name_of(spool, "function=walk")
    die = name_of(spool, "code=MAPERR", "function=die")
    for name, code, words in commands(TMP, null, walk) + moves(die):
        for width in WIDTHS.get(name, (None,)):
            columns = {"COLUMNS": str(width)} if width else {}
            r = knell(spool, *words, **columns)
            if r.returncode != code:
                fail("%s: exit code %d, not %d: %s" % (words, r.returncode, code, r.stderr.decode()))
            harmless(name, r.stdout)
            harmless(name, r.stderr)
            if name not in NO_TEXT:
                where = "%s%s.txt" % (name, "-%d" % width if width else "")
                compare("text/" + where, normal((r.stdout + r.stderr).decode()))
        if name == "watch":
            continue
        # Moves are undone so that JSON finds the same.
        if name == "hold":
            knell(spool, "release", die)
        elif name == "release":
            knell(spool, "hold", die)
        elif name == "rm":
            words = ["rm", "--yes", walk]
        r = knell(spool, "--json", *words)
        if r.returncode != code:
            fail("%s --json: exit code %d, not %d" % (words, r.returncode, code))
        harmless(name + " --json", r.stdout)
        value = check_object(name, r.stdout)
        if name == "config":
            text = knell(spool, "config").stdout.decode().splitlines()
            for one in value["settings"]:
                if not any(line.startswith(one["key"] + " = ") for line in text):
                    fail("config does not show %s" % one["key"])
            continue # every key in a file of ours would be one more place to add it to
        compare("json/%s.json" % name, json.dumps(shape(value), indent=1) + "\n")
        if name not in ARRAYS:
            continue
        for line in knell(spool, "--json=lines", *words).stdout.decode().splitlines():
            check(json.loads(line), SCHEMA["$defs"][ARRAYS[name]], name + " --json=lines")
    other = os.path.join(TMP, "other")
    crash(other, "divide")
    crash(other, "wait", kill=signal.SIGKILL)
    with open(os.path.join(other, "new", "not-a-report"), "w") as f:
        f.write("garbage")
    r = knell(other, "verify", "--repair")
    compare("text/verify-repair.txt", normal((r.stdout + r.stderr).decode()))
    if r.returncode or len(os.listdir(os.path.join(other, "new"))) != 2:
        fail("verify --repair: exit code %d, %s" % (r.returncode, os.listdir(other + "/new")))
    r = knell(other, "import", os.path.join(TMP, "bundle.tar"))
    compare("text/import.txt", normal((r.stdout + r.stderr).decode()))
    check_object("import", knell(other, "--json", "import", os.path.join(TMP, "bundle.tar")).stdout)


def columns_of(line):
    return sum(0 if unicodedata.combining(c) else
               2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def every_form(spool):
    """Each command, each time on a fresh copy of the spool, as lines of JSON, on narrow and
    on wide terminals: the exit code is the same, nothing drives the terminal, every line of
    JSON is in the schema and no list is wider than the terminal."""
    null, walk = name_of(spool, "function=bytes_left"), name_of(spool, "function=average")
    die = name_of(spool, "function=die")
    bundle = os.path.join(TMP, "bundle.tar")
    knell(spool, "release", die)
    knell(spool, "hold", walk)
    with open(os.path.join(spool, "new", "not-a-report"), "w") as f:
        f.write("garbage")
    rest = [("import", 0, ["import", bundle]), ("hold", 0, ["hold", die]),
            ("release", 0, ["release", walk]), ("rm", 0, ["rm", "--yes", die])]
    for name, code, words in commands(TMP, null, walk) + rest:
        here = os.path.join(TMP, "copy")

        def fresh():
            shutil.rmtree(here, ignore_errors=True)
            shutil.copytree(spool, here)
            if name == "import":
                for state in ("new", "sent", "wait", "hold"):
                    for f in os.listdir(os.path.join(here, state)):
                        os.unlink(os.path.join(here, state, f))
            return here

        for columns in (1, 20, 40, 80, 200) if name in ("list", "top") else (1, 80):
            if name in ("watch", "test", "upload") and columns != 80:
                continue # what they say has no columns
            out, got = on_terminal(fresh(), *words, "--no-pager", "--color=always",
                                   columns=columns)
            harmless("%s at %d" % (name, columns), out, colours=True)
            if got != code:
                fail("%s on a terminal: exit code %d, not %d: %s" % (words, got, code, out))
            if name not in ("list", "top"):
                continue
            table = re.sub(r"\x1b\[[0-9;]*m", "", out.decode()).split("\n\n")[0]
            for line in table.splitlines():
                if columns_of(line) > columns:
                    fail("%s at %d: %r" % (name, columns, line))
        r = knell(fresh(), "--json=lines", *words)
        if r.returncode != code:
            fail("%s --json=lines: exit code %d, not %d" % (words, r.returncode, code))
        harmless(name + " --json=lines", r.stdout)
        lines = r.stdout.decode().splitlines()
        if name in ARRAYS:
            for line in lines:
                check(json.loads(line), SCHEMA["$defs"][ARRAYS[name]], name + " --json=lines")
        elif name != "watch":
            if len(lines) != 1:
                fail("%s --json=lines: %d lines" % (name, len(lines)))
            check_object(name, lines[0] if lines else "")


def nothing_to_tell(spool):
    """An empty spool, words that match nothing, and no reports wanted."""
    empty, page = os.path.join(TMP, "empty"), os.path.join(TMP, "nothing.html")
    os.makedirs(os.path.join(empty, "new"), 0o700)
    os.chmod(empty, 0o700)
    codes = {"list": 0, "top": 0, "log": 0, "report": 0, "verify": 5, "clean": 0, "status": 9,
             "consent": 0, "watch": 3, "upload": 0, "rm": 2, "hold": 2, "release": 2, "retry": 2}
    for name, _, words in commands(TMP, "-1", "-1") + moves("-1"):
        if name in ("config", "help", "completion", "test"):
            continue
        words = [w for w in words if w not in ("-1", "wait")]
        words = [page if w.endswith(".html") else w for w in words if w != "--state"]
        r = knell(empty, *words)
        if r.returncode != codes.get(name, 3):
            fail("%s on an empty spool: exit code %d" % (words, r.returncode))
        if not r.stdout + r.stderr and name not in ("log", "top"):
            fail("%s on an empty spool: not a word" % words)
        if name in ("consent", "status", "upload", "verify", "watch"):
            continue
        for more in (["-n", "0"], ["nobody"]):
            r = knell(spool, *words, *more)
            if r.returncode not in (0, 3):
                fail("%s: exit code %d" % (words + more, r.returncode))
            if b"cannot write" in r.stderr:
                fail("%s: %s" % (words + more, r.stderr))
        harmless(name, r.stdout)
    with open(page) as f:
        if "No reports." not in f.read():
            fail("the page of an empty spool does not say so")
    check_page(page)
    if knell(spool, "--json", "report").stdout[-8:] != b"</html>\n":
        fail("report --json mixes the page with an object")


def readers_that_leave(spool):
    """watch and log --follow end when nobody reads them, with nothing left to say."""
    for words in (["watch"], ["log", "--follow"]):
        p = subprocess.Popen([KNELL, "--spool", spool, "-q", *words], env=environment(),
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL)
        if words[0] == "log":
            p.stdout.readline()
        p.stdout.close()
        try:
            if p.wait(60) != 0:
                fail("%s, when its reader left: %d" % (words, p.returncode))
        except subprocess.TimeoutExpired:
            p.kill()
            fail("%s goes on when its reader has left" % words)


def strangers():
    """What does not belong among the reports keeps nobody from seeing the others."""
    spool = os.path.join(TMP, "strangers")
    crash(spool, "null")
    sound = os.listdir(os.path.join(spool, "new"))[0]
    for i in range(5):
        name = os.path.join(spool, "new", "%013d-%012x-%032x-s11.a00.n0000000000.dmp" %
                            (1700000000000 + i, i, i))
        if i == 0:
            os.symlink("/etc/shadow", name)
        elif i == 1:
            os.mkfifo(name, 0o600)
        elif i == 2:
            os.mkdir(name)
        elif i == 3:
            with open(name, "wb") as f:
                os.fchmod(f.fileno(), 0o600)
                f.truncate(4 << 30)
        else:
            open(name, "wb").close()
    bundle = os.path.join(TMP, "strangers.tar")
    for words, code in ((["list"], 0), (["top"], 0), (["show", "-n", "9"], 5),
                        (["show", "-n", "9", "--json=lines"], 5),
                        (["export", "-n", "9", "-o", bundle], 5), (["verify"], 5),
                        (["report", "-o", bundle + ".html"], 0), (["hold", "--dry-run", "-n", "9"], 0)):
        r = knell(spool, *words)
        if r.returncode != code:
            fail("%s among strangers: exit code %d: %s" % (words, r.returncode, r.stderr))
        harmless("strangers", r.stdout + r.stderr)
        if words[0] == "show" and b"bytes_left" not in r.stdout:
            fail("a stranger keeps show from the sound report: %s" % r.stderr)
    with open(bundle, "rb") as f:
        if sound.encode() not in f.read(1 << 20):
            fail("a stranger keeps export from the sound report")
    r = knell(spool, "verify", "--repair")
    if r.returncode or os.listdir(os.path.join(spool, "new")) != [sound]:
        fail("verify --repair among strangers: %d %s" % (r.returncode, r.stderr))


def refusals(spool):
    """Every command on an option that there is not, on a spool that there is not and on
    words that match nothing: the code that knell(1) says, and a reason, in text and JSON."""
    null, die = name_of(spool, "function=bytes_left"), name_of(spool, "function=die")
    bundle, made = os.path.join(TMP, "bundle.tar"), os.path.join(TMP, "made")
    # A bundle makes the spool it goes to, also out of a part of one.
    for part in ("new", "hold"):
        shutil.rmtree(made, ignore_errors=True)
        os.makedirs(os.path.join(made, part), 0o700)
        os.chmod(made, 0o700)
        if knell(made, "import", bundle).returncode or len(os.listdir(made + "/hold")) != 1:
            fail("import into a spool with %s/ alone" % part)
    shutil.rmtree(made)
    if knell(made, "import", bundle).returncode or b"held" not in knell(made, "list").stdout:
        fail("import does not make a spool")
    # Those that need no spool, and those whose words are something else than matches.
    no_spool = {"help": 0, "completion": 0, "config": 0, "test": 0, "import": 0}
    words_mean = {"status": 2, "consent": 2, "config": 2, "help": 2, "completion": 2, "import": 4,
                  "upload": None, "test": 9}
    for name, _, words in commands(TMP, null, null) + moves(die) + [("import", 0, ["import", bundle])]:
        tries = [(2, spool, words + ["--nonsense"]), (2, spool, words + ["--config", ""]),
                 (no_spool.get(name, 4), os.path.join(TMP, "nowhere"), words)]
        if words_mean.get(name, 3) is not None:
            options = ["--timeout", "100ms"] if name == "watch" else []
            tries.append((words_mean.get(name, 3), spool, [name, "ffffffffffffffff"] + options))
        for code, where, line in tries:
            for form in ([], ["--json"], ["--json=lines"]):
                r = knell(where, *form, *line)
                if r.returncode != code:
                    fail("%s: exit code %d, not %d: %s" % (form + line, r.returncode, code, r.stderr))
                if code and name not in ("watch", "test") and not r.stderr:
                    fail("%s: exit code %d and not a word why" % (form + line, code))
                harmless("refused %s" % line, r.stdout + r.stderr)
    shutil.rmtree(os.path.join(TMP, "nowhere")) # import has made it
    for words in (["rm", "--sig", ""], ["rm", "sig="], ["rm", "id="], ["rm", "--app="], ["hold", "-D", ""]):
        if knell(spool, *words).returncode != 2:
            fail("%s is not refused: an unset variable means everything" % words)
    if not knell(spool, "list").stdout:
        fail("what was refused was done")


def order_and_ages(spool):
    """-r turns the list, and status knows the oldest and the newest."""
    times = knell(spool, "-F", "time").stdout.decode().split()
    if len(times) < 5 or times != sorted(times):
        fail("a list is not oldest first: %s" % times)
    if knell(spool, "-F", "time", "-r").stdout.decode().split() != times[::-1]:
        fail("-r does not turn the list")
    status = json.loads(knell(spool, "--json", "status").stdout)["spools"][0]
    if (status["oldest"], status["newest"]) != (times[0], times[-1]):
        fail("status: %s to %s, the list: %s to %s" % (status["oldest"], status["newest"], times[0], times[-1]))


def all_spools():
    """Without a spool named those that are found; with --all also the one of the environment."""
    home, lone = os.path.join(TMP, "home"), os.path.join(TMP, "lone")
    found = [os.path.join(home, "knell", app) for app in ("one", "two")]
    for spool in found + [lone]:
        os.makedirs(spool, 0o700)
        crash(spool, "null")

    def spools(*words, **env):
        r = subprocess.run([KNELL, "-F", "spool", *words], stdin=subprocess.DEVNULL, timeout=120,
                           env=environment(XDG_STATE_HOME=home, **env), capture_output=True)
        return [s for s in sorted(r.stdout.decode().split()) if s.startswith(TMP)]

    for want, words, env in ((found, [], {}), ([lone], [], {"KNELL_SPOOL": lone}),
                             (found + [lone], ["--all"], {"KNELL_SPOOL": lone}),
                             (found + [lone], ["--all", "--spool", lone], {}),
                             ([found[0]], ["-D", found[0]], {"KNELL_SPOOL": lone})):
        if spools(*words, **env) != want:
            fail("%s %r shows %s, not %s" % (words, env, spools(*words, **env), want))
    # A spool that is refused is named, whatever its name would do.
    evil = os.path.join(home, "knell", "evil\033]0;owned\007")
    os.makedirs(os.path.join(evil, "new"))
    os.chmod(evil, 0o777)
    r = subprocess.run([KNELL, "list"], env=environment(XDG_STATE_HOME=home), capture_output=True,
                       stdin=subprocess.DEVNULL, timeout=120)
    harmless("a spool's name", r.stdout + r.stderr)
    if r.returncode or b"evil\\x1b]0;owned" not in r.stderr:
        fail("a spool that cannot be read is not named: %d %s" % (r.returncode, r.stderr))
    r = subprocess.run([KNELL, "import", os.path.join(TMP, "bundle.tar")], stdin=subprocess.DEVNULL,
                       env=environment(XDG_STATE_HOME=home), capture_output=True, timeout=120)
    if r.returncode != 2 or found[0].encode() not in r.stderr:
        fail("import does not ask which spool: %d %s" % (r.returncode, r.stderr))


def destinations_in_json():
    """config check says the same and exits the same as JSON and as text."""
    for dsn, code in (("http://key@host/1 htp://host/1", 1), ("http://key@host/1", 0)):
        for form in ([], ["--json"]):
            r = knell(TMP, *form, "config", "check", KNELL_DSN=dsn)
            if r.returncode != code or (b"htp://" in r.stdout + r.stderr and b"//key@" in r.stdout + r.stderr):
                fail("config check %s of %s: exit code %d: %s" % (form, dsn, r.returncode, r.stderr))
            if form and code and not any("htp://host/1" in n["text"] and n["error"]
                                         for n in check_object("config", r.stdout)["notes"]):
                fail("config check --json does not say what is wrong")


class Refusing(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(400)
        self.end_headers()

    def log_message(self, *words):
        pass


def exit_codes():
    """Each code that knell(1) promises, reached."""
    def expect(code, spool, *words, **env):
        r = knell(spool, *words, **env)
        if r.returncode != code:
            fail("%s: exit code %d, not %d: %s%s" % (words, r.returncode, code,
                 r.stdout.decode(), r.stderr.decode()))
        if code > 1 and code != 5 and not (r.stderr or r.stdout):
            fail("%s: exit code %d and not a word why" % (words, code))

    spool, server = os.path.join(TMP, "codes"), http.server.HTTPServer(("127.0.0.1", 0), Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    crash(spool, "null")
    key = "http://0123456789abcdef0123456789abcdef@127.0.0.1:"
    expect(0, spool, "list")
    knell(spool, "hold", "-1")
    expect(1, spool, "hold", "-1")
    knell(spool, "release", "-1")
    expect(2, spool, "list", "--nonsense")
    expect(2, spool, "help", "nonsense")
    expect(3, spool, "show", "nobody")
    expect(4, os.path.join(TMP, "nowhere"), "list")
    expect(9, spool, "upload")
    expect(6, spool, "upload", KNELL_DSN=key + "1/1")
    knell(spool, "retry", "--state", "wait")
    with open(os.path.join(spool, "lock"), "w") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        expect(8, spool, "upload", KNELL_DSN=key + "1/1")
        expect(8, spool, "verify", "--repair")
    to_server = "%s%d/1" % (key, server.server_port)
    expect(0, spool, "upload", KNELL_DSN=to_server)
    expect(7, spool, "status", KNELL_DSN=to_server)
    if not knell(spool, "list", "--state", "bad").stdout:
        fail("what was rejected is not in bad/")
    with open(os.path.join(spool, "new", "not-a-report"), "w") as f:
        f.write("garbage")
    expect(5, spool, "verify")
    server.shutdown()


class Page(html.parser.HTMLParser):
    """Balanced, without anything that runs or is fetched, with links that lead somewhere."""
    VOID = {"meta", "br", "hr", "rect", "link", "img", "input"}

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.text = [], set(), set(), ""

    def handle_starttag(self, tag, attributes):
        for key, value in attributes:
            if key.startswith("on") or key in ("src", "style", "action", "data"):
                fail("page: <%s %s>" % (tag, key))
            if key == "href":
                self.links.add(value)
            if key == "id":
                if value in self.ids:
                    fail("page: two elements %s" % value)
                self.ids.add(value)
        if tag in ("script", "iframe", "object", "embed", "img", "link", "base", "form"):
            fail("page: <%s>" % tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag in self.VOID:
            return
        if not self.open or self.open.pop() != tag:
            fail("page: </%s> closes nothing, line %d" % (tag, self.getpos()[0]))

    def handle_data(self, data):
        self.text += data


def check_page(path):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    page = Page()
    page.feed(text)
    page.close()
    if page.open:
        fail("page: not closed: %s" % page.open)
    for link in page.links:
        if link[:1] != "#" or link[1:] not in page.ids:
            fail("page: the link %s leads nowhere here" % link)
    if "default-src 'none'" not in text:
        fail("page: no policy against scripts and the network")
    harmless("page", text.encode())
    if shutil.which("tidy"):
        r = subprocess.run(["tidy", "-qe", "--show-info", "no", "--drop-empty-elements", "no", path], capture_output=True)
        if r.returncode:
            fail("tidy: " + r.stderr.decode())
    return page


def hostile_debug_info(victim):
    """Names of functions and source files in a binary that wants to drive the reader."""
    with open(victim, "rb") as f:
        image = f.read()
    for old, new in ((b"bytes_left\0", b"by\033[2J\007<b>\0"), (b"rest_after\0", b"re\x9b31m\n\"&'\0"),
                     (b"inspect_victim.c\0", b"inse\033]0;x\007<b>m.c\0")):
        if old not in image:
            fail("hostile debug information: no %r in the clear" % old)
        assert len(old) == len(new)
        image = image.replace(old, new)
    with open(victim, "wb") as f:
        f.write(image)


def hostile_names():
    folder = os.path.join(TMP, "dir\033]0;owned\007<script>")
    os.mkdir(folder)
    victim = os.path.join(folder, "vic\033[31mtim\n<b>")
    shutil.copy(VICTIM, victim)
    hostile_debug_info(victim)
    spool = os.path.join(TMP, "hostile")
    crash(spool, "null", "hostile", victim=victim)
    crash(spool, "divide", "hostile", victim=victim)
    crash(spool, "wait", "hostile", victim=victim, kill=signal.SIGKILL)
    crash(spool, "assert", "hostile", victim=victim)
    # Who sent a signal has a name, too.
    named = ctypes.CDLL(None).prctl
    with open("/proc/self/comm", "rb") as f:
        before = f.read().rstrip(b"\n")
    named(15, b"\033[2J\x9b31m\xe2\x80\xae<b>", 0, 0, 0) # PR_SET_NAME
    crash(spool, "wait", "hostile", victim=victim, kill=signal.SIGABRT)
    named(15, before, 0, 0, 0)
    kinds = knell(spool, "-F", "kind").stdout.decode().split()
    if not {"crash", "error", "message"} <= set(kinds):
        fail("hostile reports are of the kinds %s" % kinds)
    for words in ["show"], ["show", "--modules", "--registers"], ["threads"], ["crumbs"], ["stack"], ["show", "--as-sent"]:
        for form in [], ["--json"], ["--json=lines"]:
            r = knell(spool, *form, *words, "-n", "99")
            if r.returncode:
                fail("hostile %s: %d %s" % (form + words, r.returncode, r.stderr))
            if form or "--as-sent" not in words: # to a pipe: the very bytes
                harmless("hostile %s" % (form + words), r.stdout + r.stderr)
        out, _ = on_terminal(spool, *words, "-n", "99", "--no-pager")
        harmless("hostile %s on a terminal" % words, out, colours=True)
    r = knell(spool, "show", "-n", "99")
    for what in (b"owned\\x07\\x1b[2J<script>", b"sent by process %d (?[2J" % os.getpid(), b"Assertion `\\x1b"):
        if what not in r.stdout:
            fail("hostile: %r is not shown harmless" % what)
    knell(spool, "rm", "--yes", "kind=error", "kind=message")
    upload(spool, KNELL_DSN="http://0123456789abcdef0123456789abcdef@127.0.0.1:1/1")
    # The history lies in the spool, too.
    with open(os.path.join(spool, "log"), "a") as f:
        f.write(json.dumps({"time_ms": 1, "event_id": "\033[31m" * 8, "what": "\033[2J",
                            "to": "\033]0;x\007", "why": "\u202e\x9b2J"}) + "\n")
    null = name_of(spool, "signal=SEGV")
    shown = knell(spool, "show", null).stdout.decode()
    if "by\\x1b[2J\\x07<b>" not in shown or "inse\\x1b]0;x\\x07<b>m.c" not in shown:
        fail("a hostile function's name is not shown: %s" % shown)
    for words in (["-F", "tags"], ["show", null, "--as-sent", "--json"]):
        r = knell(spool, *words)
        harmless("hostile %s" % words, r.stdout)
        text = r.stdout.decode().strip()
        while text:
            try:
                value, end = json.JSONDecoder().raw_decode(text)
            except ValueError as e:
                fail("hostile %s is no JSON: %s in %r" % (words, e, text[:300]))
                break
            text = text[end:].lstrip()
    for name, code, words in commands(TMP, null, null) + moves(null):
        for more in ([], ["--modules", "--registers"] if name == "show" else ["--full"]):
            if name in ("hold", "release", "rm", "test", "watch", "upload") and more:
                continue
            r = knell(spool, *words, *more)
            harmless("hostile " + name, r.stdout)
            harmless("hostile " + name, r.stderr)
            if name in ("list", "show", "top", "log", "threads", "crumbs", "status"):
                out, _ = on_terminal(spool, *words, *more, "--no-pager")
                harmless("hostile %s on a terminal" % name, out, colours=True)
        if name in ("watch", "completion", "test"):
            continue
        r = knell(spool, "--json", *words)
        harmless("hostile %s --json" % name, r.stdout)
        value = check_object(name, r.stdout) if r.stdout else {}
        if name == "show" and (not value.get("release", "").startswith("release\033]0;owned") or
                               not value["executable"].startswith(folder)):
            fail("JSON does not hold the names as they were: %r" % value.get("release"))
        if name == "report":
            check_page(os.path.join(TMP, "page.html"))


def a_person_at_a_terminal(spool):
    marker, pager = os.path.join(TMP, "paged"), os.path.join(TMP, "pager")
    with open(pager, "w") as f:
        f.write("#!/bin/sh\necho \"$1\" >'%s'\nexec cat\n" % marker)
    os.chmod(pager, 0o755)

    def paged(*words, **env):
        if os.path.exists(marker):
            os.unlink(marker)
        out, code = on_terminal(spool, *words, **env)
        if code:
            fail("on a terminal %s: exit code %d" % (words, code))
        return out, os.path.exists(marker)

    for command in ("list", "show", "top", "log", "help"):
        if not paged(command, PAGER=pager + " word")[1]:
            fail(command + " does not use the pager")
    if open(marker).read() != "word\n":
        fail("the pager's arguments are lost")
    for env in ({"PAGER": ""}, {"PAGER": "cat"}, {"PAGER": pager, "KNELL_PAGER": "cat"}):
        if paged("list", **env)[1]:
            fail("a pager in spite of %r" % env)
    if paged("--no-pager", "list", PAGER=pager)[1]:
        fail("a pager in spite of --no-pager")
    if os.geteuid() == 0:
        for who in ("SUDO_UID", "SUDO_USER", "DOAS_USER", "PKEXEC_UID"):
            if paged("list", PAGER=pager, **{who: "1000"})[1]:
                fail("a pager as root through sudo: " + who)
    if not paged("list", PAGER="/nonexistent/pager")[0]:
        fail("nothing is shown when the pager cannot be started")
    for colours, words, env in ((True, ["list"], {}), (False, ["list"], {"NO_COLOR": "1"}),
                                (False, ["list"], {"TERM": "dumb"}),
                                (False, ["--color=never", "list"], {}),
                                (True, ["--color=always", "list"], {"NO_COLOR": "1"})):
        if (b"\033[" in paged(*words, PAGER="cat", **env)[0]) != colours:
            fail("colours with %s %r" % (words, env))
    for columns in (60, 80, 132, 200):
        out, _ = on_terminal(spool, "list", "--color=never", columns=columns, PAGER="cat")
        longest = max(len(line) for line in out.decode().splitlines() if "TIME" in line or "SIG" in line)
        if longest > columns:
            fail("a list of %d columns on a terminal of %d" % (longest, columns))
    out, code = on_terminal(spool, "dump", "-1")
    if code != 2 or b"MDMP" in out:
        fail("dump writes to a terminal")


def main():
    spool = make_spool()
    texts_and_objects(spool)
    check_page(os.path.join(TMP, "page.html"))
    with open(os.path.join(TMP, "page.html")) as f:
        text = f.read()
    # Six signatures are six colours, and nothing is left for a seventh.
    if "all others" in text or re.search(r"<p>\w+: *</p>", text):
        fail("page: a line about nothing")
    every_form(spool)
    nothing_to_tell(spool)
    refusals(spool)
    order_and_ages(spool)
    all_spools()
    destinations_in_json()
    readers_that_leave(spool)
    strangers()
    exit_codes()
    a_person_at_a_terminal(spool)
    hostile_names()
    return failed


try:
    code = main()
finally:
    shutil.rmtree(TMP, ignore_errors=True)
sys.exit(1 if code else 0)
