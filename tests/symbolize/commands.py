#!/usr/bin/env python3
"""The command line: addr2line's options beside addr2line itself, and what is knell's own.

usage: commands.py KNELL_SYMBOLIZE [CASE...]
"""
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

SOURCE = """#include <stdlib.h>
static inline __attribute__((always_inline)) int leaf(int x)
{
    return x * 3 + rand();
}
__attribute__((noinline)) int outer(int x)
{
    return leaf(x) + leaf(x + 1);
}
int main(int argc, char **argv)
{
    (void)argv;
    return outer(argc) & 1;
}
"""
CXX = """#include <cstdlib>
namespace deep {
struct box {
    int v;
    static __attribute__((always_inline)) inline int leaf(int x) { return x * 3 + rand(); }
    int outer(int x);
};
__attribute__((noinline)) int box::outer(int x)
{
    return leaf(x) + leaf(v);
}
}
int main(int argc, char **)
{
    deep::box b{argc};
    return b.outer(argc) & 1;
}
"""
EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_CORRUPT = 0, 1, 2, 5


class Skip(Exception):
    pass


def check(what, *about):
    if not what:
        raise AssertionError(about)


def run(*command, **kw):
    if not shutil.which(command[0]):
        raise Skip(f"no {command[0]}")
    p = subprocess.run(command, capture_output=True, text=True, timeout=60, **kw)
    if p.returncode:
        raise Skip(f"{command[0]}: {p.stderr.strip().splitlines()[-1:]}")
    return p.stdout


def knell(*args, code=EXIT_OK, text=None):
    """Standard output; @code is the exit status that is expected."""
    p = subprocess.run([TOOL, *args], input=text, capture_output=True, text=True, timeout=60)
    check(p.returncode == code, args, p.returncode, p.stdout[-300:], p.stderr[-300:])
    check(code in (EXIT_OK, EXIT_CORRUPT) or "knell-symbolize" in p.stderr or p.stdout, args,
          "fails without a word")
    return p.stdout


def program(name="prog", *flags, cxx=False):
    source = name + (".cc" if cxx else ".c")
    with open(source, "w", encoding="utf-8") as f:
        f.write(CXX if cxx else SOURCE)
    run("g++" if cxx else "gcc", "-O2", "-g", "-Wl,--build-id", *flags, source, "-o", name)
    m = re.search(r"^(\w+) (\w+) T \S*outer", run("nm", "-S", name), re.M)
    return range(int(m[1], 16), int(m[1], 16) + int(m[2], 16))


def build_id(path):
    return re.search(r"Build ID: (\w+)", run("readelf", "-n", path))[1]


def as_addr2line(cxx):
    def case():
        """Each choice of options, from arguments and from standard input."""
        pcs = [hex(pc) for pc in program("prog", cxx=cxx)] + ["0x10", "7fffffffffff"]
        for n in range(6):
            for chosen in itertools.combinations("fiaCs", n):
                options = [f"-{c}" for c in chosen] + ["-e", "prog"]
                theirs = re.sub(r" \(discriminator \d+\)", "",
                                run("addr2line", *options, *pcs))
                check(knell(*options, *pcs) == theirs, options)
                check(knell(*options, text="\n".join(pcs)) == theirs, options, "stdin")
                together = f"-{''.join(chosen)}e"
                check(knell(together, "prog", *pcs) == theirs, together)
    return case


def own_words():
    """What comes when the file is named first."""
    pc = program()[0]
    check(knell("prog", hex(pc)) == knell("-fiC", "-e", "prog", hex(pc)))
    check(knell("prog", text=f"\n{pc:x} what follows\r\n\n") == knell("prog", hex(pc)))


def source_lines():
    pcs = [hex(pc) for pc in program()]
    out = knell("--context", "2", "-e", "prog", *pcs)
    at = out.index(":8\n")
    check(out[at:].startswith(":8\n     6: __attribute__((noinline)) int outer(int x)\n"
                              "     7: {\n     8> "), out)
    os.remove("prog.c")
    check(">" not in knell("--context", "2", "-e", "prog", *pcs))


def statuses():
    pc = hex(program()[0])

    def status(*more):
        return knell("--status", *more, "-e", "prog", pc).splitlines()[0].split()[1]
    check(status() == "ok")
    check(status("--build-id", "ab" * 20) == "build_id_mismatch")
    check(status("--max-memory", "1") == "too_large")
    run("strip", "-g", "prog")
    check(status() == "symtab_only")
    run("strip", "-s", "prog")
    check(status() == "not_found")
    known = build_id("prog")
    os.truncate("prog", 3000)
    check(status("--build-id", known) == "malformed")
    os.remove("prog")
    check(status("--build-id", "ab" * 20) == "missing")


def order():
    """The file that answers, when there are several: each in its turn is taken away."""
    pc = hex(program()[0])
    here, hexed = os.getcwd(), build_id("prog")
    places = [f"{here}/prog", f"{here}/dbg/.build-id/{hexed[:2]}/{hexed[2:]}.debug",
              f"{here}/prog.debug", f"{here}/.debug/prog.debug", f"{here}/dbg{here}/prog.debug",
              f"{here}/store/{hexed}/debuginfo"]
    run("objcopy", "--only-keep-debug", "prog", "prog.debug")
    run("objcopy", "-g", "--add-gnu-debuglink=prog.debug", "prog", "stripped")
    for place in places[1:]:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if place != f"{here}/prog.debug":
            shutil.copy("prog.debug", place)

    def answers(*more):
        out = knell("--status", "--debug-dir", f"{here}/dbg", "--store", f"{here}/store", *more,
                    "-e", "prog", pc).splitlines()
        check(out[1].endswith(":0") == (out[0].split()[1] != "ok"), out)
        return out[0]
    shutil.copytree("store", "other_store")
    for i, place in enumerate(places):
        check(answers() == f"status ok {place}", place, answers())
        check(answers("--cache", f"c{i}") == f"status ok {place}")
        os.replace("stripped", "prog") if i == 0 else os.remove(place)
    check(answers() == f"status symtab_only {here}/prog", answers())
    check(answers("--store", f"{here}/other_store").startswith("status ok "))
    # The cache comes before all of them, and without any of them.
    check(answers("--cache", "c5", "--store", f"{here}/other_store") == f"status ok {places[5]}")
    os.remove("prog")
    check(answers("--build-id", hexed, "--cache", "c3") == f"status ok {places[3]}")


def memory_bound():
    """Beyond it the symbol table answers."""
    pc = hex(program()[0])
    run("objcopy", "--compress-debug-sections=zlib", "prog")
    whole = knell("-fie", "prog", pc).splitlines()
    check(whole[-2] == "outer" and whole[-1].endswith(("prog.c:7", "prog.c:8")), whole)
    n_bytes = os.path.getsize("prog")
    for bound in (n_bytes, n_bytes // 2, n_bytes // 4, n_bytes // 8, 4096, 1):
        got = knell("--status", "-fie", "prog", "--max-memory", str(bound), pc).splitlines()
        check(got[1:] == whole or got[0].split()[1] == "too_large", bound, got)
        if got[1:] == ["outer", "??:0"]:
            return
    raise AssertionError("no bound left the function's name alone")


def wrong_use():
    pc = hex(program()[0])
    for args in ((), ("-e", "prog", "x1"), ("-e", "prog", "0x"), ("prog", "1" * 17),
                 ("--no-such", "prog"), ("-e",), ("--deadline", "-1", "prog", pc),
                 ("--context", "4294967296", "prog", pc), ("--max-memory", "1x", "prog", pc),
                 ("--build-id", "abc", "prog"), ("build", "prog"), ("build", "--cache", "c"),
                 ("gc",), ("info",), ("verify",)):
        knell(*args, code=EXIT_USAGE, text="")
    check("usage:" in knell("--help") and "usage:" in knell("build", "--help"))
    check(re.match(r"knell-symbolize \d+\.\d+", knell("--version")))
    with open("/dev/full", "w", encoding="ascii") as full:
        for args in (("prog", pc), ("--help",)):
            p = subprocess.run([TOOL, *args], stdout=full, stderr=subprocess.PIPE, timeout=60)
            check(p.returncode == EXIT_FAILED, args, p)


def build_info_verify():
    pcs = program()
    file = f"c/{build_id('prog')}.ksym"
    check(re.match(r"prog: [1-9]\d* ranges, [1-9]\d* functions, [1-9]\d* places\n",
                   knell("build", "--cache", "c", "prog")))
    check(os.stat("c").st_mode & 0o777 == 0o700 and os.stat(file).st_mode & 0o777 == 0o600)
    info = knell("info", file)
    check(f"build-id   {build_id('prog')}\n" in info and "complete   yes\n" in info and
          f"from       {os.path.realpath('prog')}\n" in info, info)
    check(f"bytes      {os.path.getsize(file)}" in info or
          int(re.search(r"bytes +(\d+)", info)[1]) <= os.path.getsize(file), info)
    check(knell("verify", file) == f"{file}: sound\n")
    shutil.rmtree("c")
    knell("--cache", "c", "prog", hex(pcs[0]))
    check("complete   no\n" in knell("info", file))

    with open(file, "rb") as f:
        good = f.read()
    for at in (0, 9, 100, 4096, (4096 + len(good)) // 2, len(good) - 1):
        with open(file, "wb") as f:
            f.write(good[:at] + bytes([good[at] ^ 4]) + good[at + 1:])
        check(f"{file}: " in knell("verify", file, code=EXIT_CORRUPT), at)
    with open(file, "wb") as f:
        f.write(good[:-1])
    knell("info", file, code=EXIT_CORRUPT)
    knell("verify", file, "no/such", code=EXIT_FAILED)
    knell("verify", "no/such", file, code=EXIT_FAILED)
    os.mkfifo("fifo")
    knell("verify", "fifo", "c", code=EXIT_FAILED)

    run("strip", "-g", "prog")
    knell("build", "--cache", "c", "prog", code=EXIT_FAILED)
    program("prog")
    program("second", "-DSECOND")
    knell("build", "--cache", "d", "no/such", "prog", "second", code=EXIT_FAILED)
    check(len(os.listdir("d")) == 2, "the others are built all the same")


def gc():
    """What was asked last stays longest; a use counts."""
    names = [f"p{i}" for i in range(4)]
    files, pcs, now = [], [], time.time()
    for i, name in enumerate(names):
        pcs.append(hex(program(name, f"-DN={i}")[0]))
        files.append(f"c/{build_id(name)}.ksym")
        knell("build", "--cache", "c", name)
        os.utime(files[i], (now - 1000 + i, now - 1000 + i))
    knell("--cache", "c", names[0], pcs[0])  # the oldest is used
    check(os.stat(files[0]).st_mtime > now - 60, "its time tells")
    size = [os.path.getsize(f) for f in files]
    with open("c/.1.2.tmp", "w", encoding="ascii"):
        os.utime("c/.1.2.tmp", (1, 1))  # of a writer that was killed
    with open("c/note", "w", encoding="ascii") as f:
        f.write("of somebody else")
    check(knell("gc", "--cache", "c") == f"4 files, {sum(size)} bytes; removed 0 files, 0 bytes\n")
    check(not os.path.exists("c/.1.2.tmp"))
    out = knell("gc", "--cache", "c", "--cache-max", str(size[0] + size[3]))
    check(out == f"2 files, {size[0] + size[3]} bytes; "
                 f"removed 2 files, {size[1] + size[2]} bytes\n", out)
    check([os.path.exists(f) for f in files] == [True, False, False, True])
    knell("--cache", "c", "--cache-max", "1", names[1], pcs[1])
    check(os.listdir("c") == ["note"], "a writer keeps the bound as well")
    knell("gc", "--cache", "no/such", code=EXIT_FAILED)


CASES = {
    "as_addr2line": as_addr2line(False), "as_addr2line_cxx": as_addr2line(True),
    "own_words": own_words, "source_lines": source_lines, "statuses": statuses, "order": order,
    "memory_bound": memory_bound, "wrong_use": wrong_use,
    "build_info_verify": build_info_verify, "gc": gc,
}


def main():
    global TOOL
    TOOL = os.path.abspath(sys.argv[1])
    bad = 0
    for name, case in CASES.items():
        if len(sys.argv) > 2 and name not in sys.argv[2:]:
            continue
        folder = tempfile.mkdtemp(prefix="knell-commands-")
        os.chdir(folder)
        try:
            case()
            print(f"ok   {name}", flush=True)
        except Skip as e:
            print(f"skip {name}: {e}", flush=True)
        except (AssertionError, subprocess.TimeoutExpired) as e:
            bad += 1
            print(f"FAIL {name}, line {e.__traceback__.tb_next.tb_lineno}: {e!r:.900}",
                  flush=True)
        finally:
            os.chdir("/")
            shutil.rmtree(folder)
    sys.exit(1 if bad else 0)


main()
