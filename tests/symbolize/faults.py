#!/usr/bin/env python3
"""Disks that fail, files that change under the reader, writers that are killed.

usage: faults.py KNELL_SYMBOLIZE FAULTS_LIBRARY [CASE...]

Whatever happens to a file: no signal, no hang, and an answer that is right or says that it
does not know; never the line of another function. Whatever happens to the cache: the next
run's answers are right, and what is there is sound.
"""
import errno
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile

SOURCE = """#include <stdlib.h>
static inline __attribute__((always_inline)) int leaf(int x) { return x * 3 + rand(); }
""" + "\n".join(f"""__attribute__((noinline)) int outer_{i}(int x)
{{
    int y = leaf(x + {i});
    return y * {i} + leaf(y);
}}""" for i in range(60)) + "\nint main(int c, char **v) { (void)v; return " + " + ".join(
    f"outer_{i}(c)" for i in range(60)) + "; }\n"


class Skip(Exception):
    pass


def run(*command, **kw):
    if not shutil.which(command[0]):
        raise Skip(f"no {command[0]}")
    p = subprocess.run(command, capture_output=True, text=True, **kw)
    if p.returncode:
        raise Skip(f"{command[0]}: {p.stderr.strip().splitlines()[-1:]}")
    return p.stdout


def addresses(path, n=40):
    """Some in every function; the same for every file of the program."""
    random.seed(1)
    starts = [int(m[1], 16) for m in re.finditer(r"^(\w+) T outer_", run("nm", path), re.M)]
    return sorted(random.choice(starts) + random.randrange(24) for _ in range(n))


def ask(path, pcs, *options, fault=None, limit=None):
    """Exit code and the groups of lines, one for each address; None: killed as told."""
    env = dict(os.environ)
    if fault:
        env.update({"LD_PRELOAD": FAULTS, **{"FAULT_" + k: str(v) for k, v in fault.items()}})
    p = subprocess.run([TOOL, *options, "-afiCe", path, *map(hex, pcs)], env=env,
                       capture_output=True, text=True, errors="replace", timeout=60,
                       preexec_fn=limit)
    if p.returncode == -signal.SIGKILL and fault and fault["HOW"] == "kill":
        return None, []
    if p.returncode not in (0, 1):
        raise AssertionError(f"exit {p.returncode} with {fault} {options}: {p.stderr[-400:]}")
    groups = []
    for line in p.stdout.splitlines():
        if re.fullmatch(r"0x[0-9a-f]{16}", line):
            groups.append([])
        else:
            groups[-1].append(line)
    return p.returncode, groups


def check(what, *about):
    if not what:
        raise AssertionError(about)


def is_degraded(group, right):
    """Nothing at all, the function without its line, or the line without its callers' names."""
    name = right[-2]
    return all(line in ("??", "??:0", "??:?", name) or line in right or
               re.fullmatch(r".*prog\.c:\?", line) for line in group)


def steps(limit=10000):
    """1, 2, 3, ... and further apart later on."""
    n = 1
    while n < limit:
        yield n
        n += 1 + n // 8


def program(*flags, compiler="gcc"):
    with open("prog.c", "w") as f:
        f.write(SOURCE)
    run(compiler, "-O2", "-g", *flags, "prog.c", "-o", "prog")


def kinds():
    """Files of every way that bytes take: (name, make), "prog" in the end."""
    def stripped(name):
        def make():
            program("-Wl,--build-id")
            run("objcopy", "--only-keep-debug", "prog", "prog.debug")
            run("strip", "-s", "prog")
            if name == "debuglink":
                run("objcopy", "--add-gnu-debuglink=prog.debug", "prog")
                return
            build_id = re.search(r"Build ID: (\w+)", run("readelf", "-n", "prog"))[1]
            os.makedirs(f"dbg/.build-id/{build_id[:2]}")
            os.rename("prog.debug", f"dbg/.build-id/{build_id[:2]}/{build_id[2:]}.debug")
        return make

    def mini():
        program("-Wl,--build-id")
        run("objcopy", "--only-keep-debug", "prog", "mini0")
        run("objcopy", "-S", "--remove-section=.debug_*", "-w", "-K", "outer_*", "mini0",
            "mini")
        run("xz", "-f", "mini")
        run("strip", "-s", "prog")
        run("objcopy", "--add-section", ".gnu_debugdata=mini.xz", "prog")

    def dwz():
        program("-gdwarf-4")
        shutil.copy("prog", "prog2")
        run("dwz", "-m", "common.dwz", "prog", "prog2", "-L", "none", "-l", "none")

    def package():
        program("-gsplit-dwarf")
        run("llvm-dwp", "-e", "prog", "-o", "prog.dwp")
    yield "plain", program
    for how in ("zlib", "zstd"):
        yield how, lambda how=how: (program(), run("objcopy", "--compress-debug-sections=" + how,
                                                   "prog"))
    yield "debuglink", stripped("debuglink")
    yield "build_id", stripped("build_id")
    yield "dwo", lambda: program("-gsplit-dwarf")
    yield "dwp", package
    yield "dwz", dwz
    yield "mini_debug_info", mini


def each_kind(case):
    """Run @case with "prog" made in each way; the right answers are plain prog's."""
    def all_of_them():
        program()
        pcs = addresses("prog")
        code, right = ask("prog", pcs)
        check(code == 0 and all(len(g) >= 2 and "outer_" in g[-2] for g in right), right)
        made = 0
        for name, make in kinds():
            for left in os.listdir("."):
                shutil.rmtree(left) if os.path.isdir(left) else os.remove(left)
            try:
                make()
            except Skip as e:
                print(f"     skip {case.__name__} {name}: {e}")
                continue
            made += 1
            try:
                case(name, pcs, right)
            except AssertionError as e:
                raise AssertionError(f"{name}: {e}") from e
        check(made >= 3, made)
    return all_of_them


def largest():
    """The file that the bytes are read from most."""
    found = [os.path.join(d, n) for d, _, names in os.walk(".") for n in names
             if not n.endswith((".c", ".xz", ".o")) and n not in ("mini0", "prog2", "mini")]
    return max(found, key=os.path.getsize)


def with_cache(pcs, fault, whole):
    """Ask while something fails, and again: what was not had in full may not be kept."""
    where = ("--debug-dir", os.path.abspath("dbg"), "--cache", os.path.abspath("cache"))
    answer = ask("prog", pcs, *where, fault=fault)
    again = ask("prog", pcs, *where)
    check(again == (0, whole), fault, "is kept", again[1][:3], whole[:3])
    shutil.rmtree("cache", ignore_errors=True)
    return answer


def read_errors(name, pcs, right):
    code, whole = ask("prog", pcs, "--debug-dir", os.path.abspath("dbg"))
    for number in (errno.EIO, errno.ESTALE):
        for n in steps(2000):
            fault = {"CALL": "pread", "FIRST": n, "HOW": number}
            code, got = with_cache(pcs, fault, whole)
            check(code or all(is_degraded(g, r) for g, r in zip(got, right)), name, n, got)
            if code == 0 and got == right or n > 40:
                break


def changes(how):
    def case(name, pcs, right):
        target = os.path.abspath(largest())
        shutil.copy(target, "kept")
        with open("o.c", "w") as f:
            f.write("int wrong(int x) { return x; }\nint main(void) { return wrong(2); }\n")
        for n in steps(16):
            shutil.copy("kept", target)
            run("gcc", "-O2", "-g", "-Wl,--build-id", "o.c", "-o", "other")
            fault = {"CALL": "pread", "FIRST": n, "HOW": how, "FILE": target,
                     "OTHER": os.path.abspath("other")}
            code, got = ask("prog", pcs, "--debug-dir", os.path.abspath("dbg"),
                            "--cache", os.path.abspath("cache"), fault=fault)
            if how != "scribble":  # in place, nothing can tell the new bytes from the old
                check(code or all(is_degraded(g, r) for g, r in zip(got, right)), name, n, got)
            # Nothing of it may stay: the right file gives the right answers again.
            shutil.copy("kept", target)
            code, got = ask("prog", pcs, "--debug-dir", os.path.abspath("dbg"),
                            "--cache", os.path.abspath("cache"))
            before = ask("prog", pcs, "--debug-dir", os.path.abspath("dbg"))
            check((code, got) == before, name, n, got[:3], before[1][:3])
    case.__name__ = how
    return case


def allocations(name, pcs, right):
    code, whole = ask("prog", pcs, "--debug-dir", os.path.abspath("dbg"))
    for n in steps(1500):
        fault = {"CALL": "malloc", "FIRST": n, "HOW": errno.ENOMEM}
        code, got = with_cache(pcs, fault, whole)
        check(code or all(is_degraded(g, r) for g, r in zip(got, right)), name, n, got)


def few_descriptors(name, pcs, right):
    for n in (32, 8, 6, 5, 4):
        limit = lambda n=n: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))
        code, got = ask("prog", pcs, "--debug-dir", os.path.abspath("dbg"), limit=limit)
        check(code or all(is_degraded(g, r) for g, r in zip(got, right)), name, n, got)
        if n == 32 and name != "mini_debug_info":
            check(got == right or name == "dwz", name, got[:2], right[:2])


# --- the cache ------------------------------------------------------------------------

def sound_cache():
    files = [f"cache/{n}" for n in os.listdir("cache") if n.endswith(".ksym")]
    if files:
        p = subprocess.run([TOOL, "verify", *files], capture_output=True, text=True)
        check(p.returncode == 0, p.stdout, p.stderr)


def cache_writes():
    program("-Wl,--build-id")
    pcs = addresses("prog")
    right = ask("prog", pcs)
    broken = 0
    for call in ("create", "write", "fsync", "rename"):
        for how in (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT, "kill"):
            for before in (False, True):  # with an older file in the place
                for n in steps(60):
                    shutil.rmtree("cache", ignore_errors=True)
                    if before:
                        ask("prog", pcs[:3], "--cache", "cache")
                    fault = {"CALL": call, "FIRST": n, "HOW": how}
                    code, got = ask("prog", pcs, "--cache", "cache", fault=fault)
                    check(code is None or (code, got) == right, fault, got[:2])
                    left = [f for f in os.listdir("cache") if not f.endswith(".ksym")]
                    check(not left or code is None, fault, left)
                    sound_cache()
                    check(ask("prog", pcs, "--cache", "cache") == right, fault)
                    broken += code is None
                    if code == 0 and not left and n > 1 and how == "kill":
                        break
                    if n > 12 and how != "kill":
                        break
    check(broken >= 8, broken)


def cache_disk_full():
    program("-Wl,--build-id")
    pcs = addresses("prog")
    right = ask("prog", pcs)
    for most in (0, 1, 4095, 4096, 5000, 8192, 20000):
        limit = lambda most=most: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        check(ask("prog", pcs, "--cache", "cache", limit=limit) == right, most)
        check(not [n for n in os.listdir("cache") if n.endswith(".tmp")], most)
        sound_cache()
        shutil.rmtree("cache")


def cache_places():
    """Folders that are none, or not ours."""
    program("-Wl,--build-id")
    pcs = addresses("prog")
    right = ask("prog", pcs)
    open("file", "w").close()
    os.mkdir("real", 0o700)
    os.symlink("real", "link")
    os.symlink("nowhere", "dangling")
    os.mkdir("open", 0o777)
    os.chmod("open", 0o777)
    os.mkdir("read_only", 0o500)
    os.mkfifo("fifo")
    places = ["file", "link", "dangling", "open", "read_only", "fifo", "/proc/self", "no/such"]
    if os.geteuid() == 0:
        os.mkdir("others", 0o700)
        os.chown("others", 12345, 12345)
        places.append("others")
    for place in places:
        check(ask("prog", pcs, "--cache", place) == right, place)
        check(ask("prog", pcs, "--cache", place) == right, place)
    check(not os.listdir("open"))
    check(os.geteuid() != 0 or not os.listdir("others"))


def cache_versions():
    """Another version, an empty file, somebody else's: as good as none, then replaced."""
    program("-Wl,--build-id")
    pcs = addresses("prog")
    right = ask("prog", pcs, "--cache", "cache")
    name, = [f"cache/{n}" for n in os.listdir("cache")]
    with open(name, "rb") as f:
        good = f.read()
    for at, new in ((8, b"\0\0\0\0"), (8, b"\xff\0\0\0"), (0, b"KNELSYN"), (0, b"")):
        bad = good[:at] + new + good[at + len(new):] if new else b""
        with open(name, "wb") as f:
            f.write(bad)
        check(ask("prog", pcs, "--cache", "cache") == right, at, new)
        with open(name, "rb") as f:
            check(f.read(12) == good[:12], at, new)


def cache_goes_away():
    program("-Wl,--build-id")
    pcs = addresses("prog")
    right = ask("prog", pcs, "--cache", "cache")
    name, = [os.path.abspath(f"cache/{n}") for n in os.listdir("cache")]
    shutil.copy(name, "kept")
    for how in ("unlink", "shrink", "scribble"):
        for n in steps(40):
            shutil.copy("kept", name)
            os.chmod(name, 0o600)
            fault = {"CALL": "pread", "FIRST": n, "HOW": how, "FILE": name}
            check(ask("prog", pcs, "--cache", "cache", fault=fault) == right, how, n)
    for when in (0, 1 << 40):  # a clock that was set
        os.utime(name, (when, when))
        check(ask("prog", pcs, "--cache", "cache") == right, when)


def cache_coverage():
    """Filled piece by piece, or whole: the same answers to everything."""
    program("-Wl,--build-id")
    starts = [int(m[1], 16) for m in re.finditer(r"^(\w+) [tT] ", run("nm", "prog"), re.M)]
    pcs = sorted(s + k for s in starts for k in range(0, 40, 3))
    right = ask("prog", pcs)
    pieces = pcs[:]
    random.seed(2)
    random.shuffle(pieces)
    for i in range(0, len(pieces), len(pieces) // 9 + 1):
        ask("prog", pieces[i:i + len(pieces) // 9 + 1], "--cache", "lazy")
    run(TOOL, "build", "--cache", "whole", "prog")
    check(ask("prog", pcs, "--cache", "lazy") == right)
    check(ask("prog", pcs, "--cache", "whole") == right)


CASES = {
    "read_errors": each_kind(read_errors),
    **{"file_" + how: each_kind(changes(how)) for how in ("shrink", "replace", "unlink",
                                                         "scribble")},
    "allocations": each_kind(allocations),
    "few_descriptors": each_kind(few_descriptors),
    "cache_writes": cache_writes,
    "cache_disk_full": cache_disk_full,
    "cache_places": cache_places,
    "cache_versions": cache_versions,
    "cache_goes_away": cache_goes_away,
    "cache_coverage": cache_coverage,
}


def main():
    global TOOL, FAULTS
    TOOL, FAULTS = (os.path.abspath(p) for p in sys.argv[1:3])
    bad = 0
    for name, case in CASES.items():
        if len(sys.argv) > 3 and name not in sys.argv[3:]:
            continue
        folder = tempfile.mkdtemp(prefix="knell-faults-")
        os.chdir(folder)
        try:
            case()
            print(f"ok   {name}", flush=True)
        except Skip as e:
            print(f"skip {name}: {e}", flush=True)
        except (AssertionError, subprocess.TimeoutExpired) as e:
            bad += 1
            print(f"FAIL {name}: {e}", flush=True)
        finally:
            os.chdir("/")
            shutil.rmtree(folder)
    sys.exit(1 if bad else 0)


main()
