#!/usr/bin/env python3
"""Ask knell-symbolize and llvm-symbolizer for the same random addresses of a file.

usage: differential.py KNELL_SYMBOLIZE FILE N [SEED]

Exits 1 when an innermost file:line, a function or the number of frames differs. An
address without line information is compared by function alone: llvm-symbolizer then
gives the name of the object file, from STT_FILE. Exits 77 without llvm-symbolizer.
"""
import random
import re
import shutil
import subprocess
import sys


def text_section(path):
    out = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True)
    for line in out.stdout.splitlines():
        m = re.match(r"\s*\[\s*\d+\]\s+\.text\s+\w+\s+(\w+)\s+\w+\s+(\w+)", line)
        if m:
            return int(m[1], 16), int(m[2], 16)
    sys.exit(f"{path}: no .text")


def frames(lines):
    return list(zip(lines[0::2], lines[1::2]))


def ask_knell(tool, path, text):
    out = subprocess.run([tool, "-afiCe", path], input=text, capture_output=True, text=True,
                         check=True).stdout
    groups = []
    for line in out.splitlines():
        if re.fullmatch(r"0x[0-9a-f]{16}", line):
            groups.append([])
        else:
            groups[-1].append(line)
    return [frames(g) for g in groups]


def ask_llvm(path, text):
    out = subprocess.run(["llvm-symbolizer", "-f", "-i", "-C", "--obj=" + path], input=text,
                         capture_output=True, text=True, check=True).stdout
    groups = [g.split("\n") for g in out.strip("\n").split("\n\n")]
    return [frames(g) for g in groups]


def plain_name(name):
    name = re.sub(r"\s*[\[(](clone )?\.[a-z_]+(\.\d+)?[\])]", "", name)
    return re.sub(r"\.(constprop|isra|part|cold|lto_priv)(\.\d+)?", "", name)


def place(text):
    m = re.match(r"(.*?):(\d+|\?)(:\d+)?( \(discriminator.*)?$", text)
    line = 0 if m[2] == "?" else int(m[2])
    return m[1].rsplit("/", 1)[-1], line


def differs(ours, theirs):
    file, line = place(theirs[0][1])
    if place(ours[0][1]) != (file, line):
        return "leaf"
    if len(ours) != len(theirs):
        return "depth"
    if plain_name(ours[0][0]) != plain_name(theirs[0][0]):
        return "function"
    return None


def main():
    tool, path, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if not shutil.which("llvm-symbolizer"):
        print("no llvm-symbolizer")
        sys.exit(77)
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    random.seed(seed)
    start, size = text_section(path)
    addresses = sorted(start + random.randrange(size) for _ in range(n))
    text = "".join(f"{a:#x}\n" for a in addresses)
    ours, theirs = ask_knell(tool, path, text), ask_llvm(path, text)
    if len(ours) != n or len(theirs) != n:
        sys.exit(f"{len(ours)} and {len(theirs)} answers to {n} questions")
    bad = [(a, differs(x, y), x, y) for a, x, y in zip(addresses, ours, theirs)]
    bad = [b for b in bad if b[1]]
    lines = sum(1 for y in theirs if place(y[0][1])[1])
    print(f"{n} addresses of {path} (seed {seed}), {lines} with a line: {len(bad)} differ")
    for address, what, x, y in bad[:10]:
        print(f"{address:#x} {what}\n  knell {x}\n  llvm  {y}")
    if lines < n // 4:
        sys.exit("too few addresses have lines: nothing was compared")
    sys.exit(1 if bad else 0)


main()
