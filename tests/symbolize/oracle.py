#!/usr/bin/env python3
"""Ask knell-symbolize and libdw about the same addresses of this build's programs.

usage: oracle.py KNELL_SYMBOLIZE LIBDW N FILE...

Function, file and line of the innermost frame. Exits 1 when one differs where libdw knows
it. What libdw does not know is counted: knell has symbol tables as well.
"""
import random
import re
import subprocess
import sys


def executable_range(path):
    out = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True)
    m = re.search(r"\.text\s+\w+\s+(\w+)\s+\w+\s+(\w+)", out.stdout)
    return int(m[1], 16), int(m[2], 16)


def plain(name):
    return re.sub(r"\.(constprop|isra|part|cold|lto_priv)(\.\d+)?", "", name)


def compare(tool, libdw, path, n):
    start, size = executable_range(path)
    pcs = sorted(start + random.randrange(size) for _ in range(n))
    text = "".join(f"{pc:#x}\n" for pc in pcs)
    theirs = subprocess.run([libdw, path], input=text, capture_output=True, text=True,
                            check=True).stdout.splitlines()
    lines = subprocess.run([tool, "-fse", path], input=text, capture_output=True, text=True,
                           check=True).stdout.splitlines()
    ours = [f"{name} {place}" for name, place in zip(lines[0::2], lines[1::2])]
    if not len(ours) == len(theirs) == n:
        sys.exit(f"{path}: {len(ours)} and {len(theirs)} answers to {n} questions")
    bad, known = 0, 0
    for pc, x, y in zip(pcs, ours, theirs):
        x_name, x_place = x.rsplit(" ", 1)
        y_name, y_place = y.rsplit(" ", 1)
        x_place, y_place = (re.sub(r":\?$", ":0", p) for p in (x_place, y_place))
        known += y_name != "??"
        # Line 0 is code that belongs to no line.
        wrong = (y_name != "??" and plain(x_name) != y_name or
                 not y_place.endswith(":0") and x_place != y_place)
        bad += wrong
        if wrong and bad < 10:
            print(f"{path} {pc:#x}\n  knell {x}\n  libdw {y}")
    print(f"{path}: {n} addresses, {known} known to libdw, {bad} differ")
    return bad or known < n // 2


def main():
    tool, libdw, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
    random.seed(1)
    sys.exit(1 if sum(bool(compare(tool, libdw, p, n)) for p in sys.argv[4:]) else 0)


main()
