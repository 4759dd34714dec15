"""What commands of `knell` change: that nothing is sent or removed that should not be, and
that who asks hears what was not done.

usage: care.py KNELL KNELL-UPLOAD VICTIM
"""
import json, os, shutil, subprocess, sys, tempfile

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


def main():
    for test in (stays_held, copies):
        test()


try:
    main()
finally:
    shutil.rmtree(TMP, ignore_errors=True)
sys.exit(1 if failed else 0)
