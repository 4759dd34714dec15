"""What commands of `knell` change: that nothing is sent or removed that should not be, and
that who asks hears what was not done.

usage: care.py KNELL KNELL-UPLOAD VICTIM
"""
import json, os, pty, shutil, subprocess, sys, tempfile, time

KNELL, UPLOAD, VICTIM = (os.path.abspath(p) for p in sys.argv[1:4])
TMP = os.path.realpath(tempfile.mkdtemp(prefix="knell-test."))
failed = False


def fail(text):
    global failed
    failed = True
    print("FAIL:", text, file=sys.stderr)


def environment(**more):
    env = {"PATH": os.path.dirname(UPLOAD) + ":/usr/bin:/bin", "HOME": TMP, "TZ": "UTC",
           "LC_ALL": "C.UTF-8", "TERM": "xterm", "KNELL_CONFIG": "/dev/null"}
    env.update(more)
    return env


def knell(spool, *words, code=0, **env):
    r = subprocess.run([KNELL, "--spool", spool, *words], env=environment(**env),
                       stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    if r.returncode != code:
        fail("%s: exit code %d, not %d: %s%s" % (words, r.returncode, code,
             r.stdout.decode(), r.stderr.decode()))
    return r


def at_terminal(spool, answer, *words, after=b""):
    """All that it writes to a terminal where @answer is typed once @after is seen, and its
    exit code."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(KNELL, [KNELL, "--spool", spool, *words], environment())
    out, typed = b"", False
    try:
        while True:
            if not typed and after in out:
                os.write(fd, answer)
                typed = True
            more = os.read(fd, 65536)
            if not more:
                break
            out += more
    except OSError: # the terminal is gone with its last process
        pass
    os.close(fd)
    return out, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def crash(name, *hows):
    """A spool with a report of each."""
    spool = os.path.join(TMP, name)
    for how in hows:
        subprocess.run([VICTIM, how], env=environment(KNELL_SPOOL=spool),
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return spool


def files(spool, state):
    return sorted(f for f in os.listdir(os.path.join(spool, state)) if f.endswith(".dmp"))


def content(*path):
    with open(os.path.join(*path), "rb") as f:
        return f.read()


def put(data, *path):
    with open(os.path.join(*path), "wb") as f:
        f.write(data)


def to_folder(name):
    return {"KNELL_DSN": "file://" + os.path.join(TMP, name)}


def stays_held():
    """Consent lets go what was held for want of it, and nothing else."""
    spool, other, bundle = crash("held", "null", "divide"), os.path.join(TMP, "held2"), TMP + "/held.tar"
    knell(spool, "consent", "no")
    knell(spool, "upload", code=9, **to_folder("held.d"))
    if len(files(spool, "hold")) != 2:
        fail("what lacks consent is not held: %s" % files(spool, "hold"))
    rows = json.loads(knell(spool, "--json", "list").stdout)["reports"]
    if any(r["not_before"] for r in rows):
        fail("what is held has a time before which it is not sent: %s" % rows)
    knell(spool, "export", "-n", "9", "-o", bundle)
    knell(other, "import", bundle)
    knell(spool, "hold", "function=bytes_left")
    for where, n in (spool, 1), (other, 2):
        knell(where, "consent", "yes")
        knell(where, "upload", **to_folder("held.d"))
        if len(files(where, "hold")) != n:
            fail("%s: a person's hold ends with the consent: %s" % (where, files(where, "hold")))
    knell(spool, "hold", "function=bytes_left", code=1)


def copies():
    """Of two copies of a report the sound one stays, wherever it is."""
    for where, spoil in (("bad", lambda b: b[:-1] + bytes([b[-1] ^ 1])), ("sent", lambda b: b[:5000]),
                         ("hold", lambda b: b"")):
        spool = crash("copies-" + where, "null")
        name = files(spool, "new")[0]
        good = content(spool, "new", name)
        put(spoil(good), spool, where, name)
        os.chmod(os.path.join(spool, where, name), 0o600)
        if where == "bad":
            put(b"spoilt\n", spool, where, name[:-4] + ".why")
        knell(spool, "verify", code=5)
        knell(spool, "verify", "--repair")
        if files(spool, "new") != [name] or content(spool, "new", name) != good:
            fail("verify --repair lost the sound copy beside one in %s/" % where)
        if os.listdir(os.path.join(spool, where)):
            fail("verify --repair left the copy in %s/" % where)
    # Where none is sound, each may hold what another has lost.
    spool = crash("copies", "null")
    name = files(spool, "new")[0]
    put(content(spool, "new", name)[:5000], spool, "new", name)
    shutil.copy(os.path.join(spool, "new", name), os.path.join(spool, "sent", name))
    knell(spool, "verify", "--repair", code=5)
    if sum(len(files(spool, state)) for state in ("new", "sent", "bad")) != 2:
        fail("verify --repair removed one of two damaged copies")


def healthy_is_zero():
    """No health check gets 0 for what is not known, nor for what is not sent."""
    root = os.path.join(TMP, "roots")
    os.makedirs(root + "/knell", 0o700)
    crash("roots/knell/one", "null")
    crash("roots/knell/two")
    os.makedirs(root + "/knell/two/new")
    os.chmod(root + "/knell/two", 0o777)
    bare = {"XDG_STATE_HOME": root, **to_folder("healthy.d")}
    spool = root + "/knell/one"
    knell(spool, "upload", **bare)
    knell(spool, "status", **bare)
    # Without --spool the machine's own spools are seen too: only what reads runs so, and
    # how they are is not known here.
    r = subprocess.run([KNELL, "status"], env=environment(**bare), capture_output=True)
    if r.returncode < 4 or b"/two" not in r.stderr:
        fail("status with a spool that is refused: %d %s" % (r.returncode, r.stderr))
    r = knell(spool, "status", code=9, KNELL_DSN="htps://foo@bar/1")
    if b"no destination is usable" not in r.stdout:
        fail("status does not say that no destination is usable: %s" % r.stdout)
    one = files(spool, "sent")[0].split("-")[2]
    knell(spool, "upload", one[:8], **bare)
    for id in "99999999", "":
        if b"id begins so" not in knell(spool, "upload", id, code=3, **bare).stderr:
            fail("upload of no report says nothing")
    knell(spool, "upload", one[:8], "99999999", code=3, **bare)


def purge():
    """It asks, it removes all that was not sent, and it says what stays."""
    spool = crash("purge", "null", "divide", "abort")
    names = files(spool, "new")
    for name, state in zip(names[1:], ("hold", "bad")):
        os.rename(os.path.join(spool, "new", name), os.path.join(spool, state, name))
    put(b"", spool, "new", names[0].replace(".dmp", ".seg"))
    out, code = at_terminal(spool, b"n\n", "consent", "revoke", "--purge")
    if code or b"Remove 4 unsent files of 1 spool? [y/N]" not in out or b": no" not in out:
        fail("consent revoke --purge does not ask: %d %s" % (code, out))
    if [len(files(spool, s)) for s in ("new", "hold", "bad")] != [1, 1, 1]:
        fail("a purge that was declined removed something")
    os.mkdir(os.path.join(spool, "bad", names[0])) # cannot be unlinked, by root neither
    value = json.loads(knell(spool, "--json", "consent", "revoke", "--purge", code=1).stdout)
    if (value["purged"], value["left"]) != (4, 1) or os.listdir(os.path.join(spool, "new")):
        fail("purge: %s" % value)
    os.rmdir(os.path.join(spool, "bad", names[0]))
    put(b"", spool, "work", names[0])
    r = knell(spool, "consent", "revoke", "--purge", code=6)
    if b"1 in work/ stays" not in r.stderr or not files(spool, "work"):
        fail("purge beside an uploader: %s" % r.stderr)


def clean_asks():
    spool = crash("clean", "null", "divide")
    words = ["clean", "--state", "new", "--older", "0"]
    out, code = at_terminal(spool, b"n\n", *words)
    if code or b"Remove 2 reports? [y/N]" not in out or len(files(spool, "new")) != 2:
        fail("clean does not ask: %d %s" % (code, out))
    out, code = at_terminal(spool, b"", *words, "--yes")
    if code or files(spool, "new"):
        fail("clean --yes: %d %s" % (code, out))


def moved_meanwhile():
    """A report that the uploader moves under a new name is found where it went."""
    spool = crash("moved", "null", "divide", "abort")
    knell(spool, "consent", "no")
    # It waits for its reader amidst the first one's files.
    p = subprocess.Popen([KNELL, "--spool", spool, "export", "-n", "9"], env=environment(),
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    head = p.stdout.read(1)
    knell(spool, "upload", code=9, **to_folder("moved.d"))
    if len(files(spool, "hold")) != 3:
        fail("the uploader moved nothing: %s" % files(spool, "hold"))
    bundle, words = p.communicate()
    put(head + bundle, TMP, "moved.tar")
    names = subprocess.run(["tar", "tf", TMP + "/moved.tar"], capture_output=True).stdout.decode()
    if names.count("/executable") != len({n for n in names.split() if n.endswith("/executable")}):
        fail("export writes the same symbols once per report: %s" % names)
    if p.returncode or names.count("report/") != 3:
        fail("export beside an uploader: %d %s %s" % (p.returncode, words, names))


def another_users_spool():
    """Root moves and removes in a spool as the user whose it is."""
    if os.geteuid():
        return
    spool = crash("others", "null", "divide", "abort")
    knell(spool, "hold", "-1") # root's, as yet: strikes and index are made
    os.chmod(TMP, 0o711)
    for folder, _, names in os.walk(spool):
        for path in [folder] + [os.path.join(folder, n) for n in names]:
            os.chown(path, 65534, 65534)
    knell(spool, "release", "--state", "hold")
    name = files(spool, "new")[0]
    os.rename(os.path.join(spool, "new", name), os.path.join(spool, "bad", name))
    knell(spool, "retry", name.split("-")[2])
    knell(spool, "hold", "-n", "9")
    if knell(spool, "dump", "-1", "-o", "-").stdout[:4] != b"MDMP":
        fail("dump of another user's report")
    out, code = at_terminal(spool, b"n\n", "rm", "-n", "9")
    if code or b"Remove 3 reports? [y/N]" not in out or len(files(spool, "hold")) != 3:
        fail("rm does not ask: %d %s" % (code, out))
    knell(spool, "rm", "function=bytes_left")
    knell(spool, "clean", "--state", "hold", "--max-reports", "1")
    if len(files(spool, "hold")) != 1:
        fail("another user's spool: %s" % files(spool, "hold"))
    for folder, _, names in os.walk(spool):
        if any(os.stat(os.path.join(folder, n)).st_uid != 65534 for n in names):
            fail("root made something in another user's spool: %s" % names)


def debugger_has_the_terminal():
    """^C interrupts what the debugger does, and ends neither it nor who waits for it."""
    spool, debugger = crash("debug", "null"), os.path.join(TMP, "debugger")
    put(b"#!/bin/sh\ntrap 'sleep 0.2; echo interrupted; exit 0' INT\necho ready\n"
        b"for i in $(seq 300); do sleep 0.1; done\n", debugger)
    os.chmod(debugger, 0o755)
    out, code = at_terminal(spool, b"\x03", "debug", "-1", "--debugger", debugger, after=b"ready")
    if code or b"interrupted" not in out:
        fail("^C in the debugger: %d %s" % (code, out))


def small_things():
    """An id opens no other report, log has times of its own, and -F is no JSON."""
    spool = crash("ids", "null", "divide")
    knell(spool, "hold", files(spool, "new")[0].split("-")[2])
    if os.path.exists(os.path.join(spool, "index")) or len(files(spool, "hold")) != 1:
        fail("hold of an id opened a report")
    spool = crash("small", "null")
    later = int(time.time()) + 1
    time.sleep(1.1)
    knell(spool, "upload", **to_folder("small.d"))
    one = files(spool, "sent")[0].split("-")[2]
    if not knell(spool, "log", one, "-S", "@%d" % later).stdout:
        fail("log does not tell what happened later than the report's death")
    knell(spool, "list", "-F", "event_id", "--json", code=2)


def main():
    for test in (stays_held, copies, healthy_is_zero, purge, clean_asks, moved_meanwhile,
                 another_users_spool, debugger_has_the_terminal,
                 small_things):
        test()


try:
    main()
finally:
    shutil.rmtree(TMP, ignore_errors=True)
sys.exit(1 if failed else 0)
