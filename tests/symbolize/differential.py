#!/usr/bin/env python3
"""Ask knell-symbolize and llvm-symbolizer for the same random addresses of a file.

usage: differential.py [--peers] KNELL_SYMBOLIZE FILE N [SEED]

knell's answers must be the same without a cache, from a cache that was filled piece by
piece, and from one that was built for the whole file. Of llvm-symbolizer's, every
frame's file and line, the number of frames and every frame's symbol are compared. Where
symbols differ, the difference must be of a kind that is known and not to knell's
disadvantage (see KINDS); else, and when a place or a chain differs, the exit is 1.
--peers: also how often addr2line and eu-addr2line say what llvm-symbolizer says.
Exits 77 without llvm-symbolizer.
"""
import collections
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

KINDS = {
    "clone": "a compiler's copy: one gives the suffix (.cold, .part.0), one does not",
    "scope": "no linkage name: knell puts the scope before the name",
    "twin": "constructor or destructor under another of its names (C1, C2, D1, D2)",
    "alias": "one of several symbols of the same address, by the file's symbol table",
    "label": "llvm-symbolizer takes an untyped symbol of no size for a function",
    "file": "no debug information there: llvm-symbolizer gives the file of STT_FILE",
}
PEER_LIMIT_S = 300


def text_section(path):
    out = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True)
    for line in out.stdout.splitlines():
        m = re.match(r"\s*\[\s*\d+\]\s+\.text\s+\w+\s+(\w+)\s+\w+\s+(\w+)", line)
        if m:
            return int(m[1], 16), int(m[2], 16)
    sys.exit(f"{path}: no .text")


class Symbols:
    """What a file's symbol table says of names that may stand for each other."""

    def __init__(self, path):
        out = subprocess.run(["readelf", "-sW", path], capture_output=True, text=True).stdout
        at = collections.defaultdict(set)
        self.labels = set()
        for line in out.splitlines():
            f = line.split()
            if len(f) < 8 or f[3] in ("FILE", "SECTION") or f[6] in ("UND", "ABS"):
                continue
            name = f[7].split("@")[0]
            at[f[1]].add(name)
            if f[3] == "NOTYPE" and f[2] == "0":
                self.labels.add(name)
        self.aliases = {n: names for names in at.values() if len(names) > 1 for n in names}

    def share_address(self, a, b):
        return b in self.aliases.get(a, ())


def frames(lines):
    return list(zip(lines[0::2], lines[1::2]))


def by_address(out):
    groups = []
    for line in out.splitlines():
        if re.fullmatch(r"0x[0-9a-f]+", line):
            groups.append([])
        else:
            groups[-1].append(line)
    return [frames(g) for g in groups]


def ask_knell(tool, path, text):
    return by_address(run([tool, "-afie", path], text))


def check_caches(tool, path, addresses):
    """Which caches answer otherwise than the file itself."""
    everything = "".join(f"{a:#x}\n" for a in addresses)

    def answers(*options):
        return [run([tool, *options, how, path], everything) for how in ("-afiCe", "-afie")]

    direct, wrong = answers(), []
    with tempfile.TemporaryDirectory(prefix="knell-") as folder:
        pieces, whole = os.path.join(folder, "pieces"), os.path.join(folder, "whole")
        for i in range(0, 7):
            piece = "".join(f"{a:#x}\n" for a in addresses[i::9])
            run([tool, "--cache", pieces, "-afiCe", path], piece)
        if answers("--cache", pieces) != direct:
            wrong.append("filled by pieces, and asked for more")
        if answers("--cache", pieces) != direct:
            wrong.append("filled by pieces")
        run([tool, "build", "--cache", whole, path], "")
        if answers("--cache", whole) != direct:
            wrong.append("built")
    return wrong


def ask_llvm(path, text):
    out = run(["llvm-symbolizer", "-f", "-i", "--no-demangle", "--obj=" + path], text)
    return [frames(g.split("\n")) for g in out.strip("\n").split("\n\n")]


def run(argv, text):
    env = {k: v for k, v in os.environ.items() if k != "DEBUGINFOD_URLS"}
    done = subprocess.run(argv, input=text, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, errors="surrogateescape", env=env, timeout=PEER_LIMIT_S)
    return done.stdout


def plain_name(name):
    return re.sub(r"\.(constprop|isra|part|cold|lto_priv|localalias)\b(\.\d+)?", "", name)


def without_twins(name):
    return re.sub(r"(?<=[a-zA-Z0-9_])([CD])[0-5](?=[A-Z])", r"\1x", name)


def place(text):
    m = re.match(r"(.*?):(\d+|\?)(:\d+)?( \(.*\))?( \(discriminator.*)?$", text)
    return os.path.normpath(m[1]), 0 if m[2] == "?" else int(m[2])


def kind_of_name(ours, theirs, symbols):
    """Why two symbols of one frame are not the same text; None when nothing explains it."""
    a, b = plain_name(ours), plain_name(theirs)
    if a == b:
        return "clone"
    if a.endswith("::" + b):
        return "scope"
    if without_twins(a) == without_twins(b):
        return "twin"
    if symbols.share_address(ours, theirs):
        return "alias"
    if theirs in symbols.labels and ours not in symbols.labels:
        return "label"
    return None


def differs(ours, theirs, symbols, kinds):
    if ours == theirs:
        return None
    if place(ours[0][1]) != place(theirs[0][1]):
        if place(theirs[0][1])[1]:
            return "leaf"
        kinds["file"] += 1
    elif len(ours) != len(theirs):
        return "depth"
    elif any(place(x[1]) != place(y[1]) for x, y in zip(ours, theirs)):
        return "caller"
    for x, y in zip(ours, theirs):
        if x[0] != y[0]:
            kind = kind_of_name(x[0], y[0], symbols)
            if not kind:
                return "function"
            kinds[kind] += 1
    return None


def agreement(answers, theirs):
    """Per cent of equal leaves (by base name, as some tools print no folder), depths and
    complete chains of names without the suffixes of copies and the marks of twins."""
    leaf = depth = chain = 0
    for x, y in zip(answers, theirs):
        (f, n), (g, m) = place(x[0][1]), place(y[0][1])
        leaf += os.path.basename(f) == os.path.basename(g) and n == m
        depth += len(x) == len(y)
        names = [[without_twins(plain_name(f[0])) for f in c] for c in (x, y)]
        chain += names[0] == names[1]
    return tuple(100 * v / len(theirs) for v in (leaf, depth, chain))


def compare_peers(path, text, ours, theirs):
    print("agreement with llvm-symbolizer, %: leaf file:line, depth, chain of names")
    print("  knell-symbolize %.2f %.2f %.2f" % agreement(ours, theirs))
    for argv in (["addr2line", "-afie", path], ["eu-addr2line", "-a", "-f", "-i", "-e", path]):
        try:
            answers = by_address(run(argv, text)) if shutil.which(argv[0]) else []
        except subprocess.TimeoutExpired:
            answers = []
        if len(answers) == len(theirs):
            print("  %s %.2f %.2f %.2f" % (argv[0], *agreement(answers, theirs)))
        else:
            print(f"  {argv[0]}: not here, or over {PEER_LIMIT_S} s")


def main():
    args = [a for a in sys.argv[1:] if a != "--peers"]
    tool, path, n = args[0], args[1], int(args[2])
    if not shutil.which("llvm-symbolizer"):
        print("no llvm-symbolizer")
        sys.exit(77)
    seed = int(args[3]) if len(args) > 3 else 1
    random.seed(seed)
    start, size = text_section(path)
    addresses = sorted(start + random.randrange(size) for _ in range(n))
    text = "".join(f"{a:#x}\n" for a in addresses)
    ours, theirs = ask_knell(tool, path, text), ask_llvm(path, text)
    if len(ours) != n or len(theirs) != n:
        sys.exit(f"{len(ours)} and {len(theirs)} answers to {n} questions")
    kinds, symbols = collections.Counter(), Symbols(path)
    bad = [(a, differs(x, y, symbols, kinds), x, y)
           for a, x, y in zip(addresses, ours, theirs)]
    bad = [b for b in bad if b[1]]
    lines = sum(1 for y in theirs if place(y[0][1])[1])
    total = sum(len(y) for y in theirs)
    print(f"{n} addresses of {path} (seed {seed}), {lines} with a line, {total} frames: "
          f"{len(bad)} differ")
    for kind, count in sorted(kinds.items()):
        print(f"  {count} frames: {KINDS[kind]}")
    for address, what, x, y in bad[:10]:
        print(f"{address:#x} {what}\n  knell {x}\n  llvm  {y}")
    if "--peers" in sys.argv:
        compare_peers(path, text, ours, theirs)
    wrong = check_caches(tool, path, addresses)
    for cache in wrong:
        print(f"other answers from a cache: {cache}")
    if lines < n // 4:
        sys.exit("too few addresses have lines: nothing was compared")
    sys.exit(1 if bad or wrong else 0)


main()
