#!/usr/bin/env python3
"""Check the signal handler's call graph, as gcc -fcallgraph-info=su wrote it.

usage: callgraph.py SOURCE_DIR ENTRY[,ENTRY...] MAX_STACK RESERVE FILE.ci... [FILE.su...]

With FILE.su, of any compiler's -fstack-usage, frames have the sizes given there; a
function that is not in any of them was inlined and has none of its own.

Fails on recursion, on frames of unbounded size, on indirect calls whose source lines lack
an INDIRECT: comment (on the line or the two above), and when the deepest path from an
ENTRY plus RESERVE bytes, for what is called indirectly, exceeds MAX_STACK bytes.
"""
import os
import re
import sys

NODE = re.compile(r'node: \{ title: "([^"]+)" label: "[^"]*?(\d+) bytes \(([\w,]+)\)')
EDGE = re.compile(
    r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"(?: label: "([^"]+)")?')


def explained(source_dir, where):
    file, line, _ = where.rsplit(":", 2)
    path = file if os.path.exists(file) else os.path.join(source_dir, file)
    with open(path, encoding="utf-8") as text:
        lines = text.read().splitlines()
    return any("INDIRECT:" in near for near in lines[max(0, int(line) - 4):int(line)])


def main(source_dir, entries, max_stack, reserve, *files):
    frame, calls, bad = {}, {}, set()
    sizes = {}
    for name in (f for f in files if f.endswith(".su")):
        with open(name, encoding="utf-8") as text:
            for where, size, how in (line.split("\t") for line in text):
                function = where.rsplit(":", 1)[-1]
                sizes[function] = max(int(size), sizes.get(function, 0))
                if how.strip() == "dynamic":
                    bad.add(f"unbounded frame: {where}")
    for name in (f for f in files if f.endswith(".ci")):
        with open(name, encoding="utf-8") as text:
            for line in text:
                if node := NODE.match(line):
                    own = sizes.get(node[1].rsplit(":", 1)[-1], 0)
                    frame[node[1]] = own if sizes else int(node[2])
                    if node[3] == "dynamic":
                        bad.add(f"unbounded frame: {node[1]}")
                elif edge := EDGE.match(line):
                    calls.setdefault(edge[1], set()).add(edge[2])
                    if edge[2] == "__indirect_call" and not explained(source_dir, edge[3]):
                        bad.add(f"indirect call without INDIRECT: {edge[3]}")

    known = {}

    def deepest(function, path):
        if function in path:
            bad.add("recursion: " + " -> ".join(path + (function,)))
            return 0, ()
        if function not in known:
            below = [deepest(callee, path + (function,)) for callee in calls.get(function, ())]
            size, tail = max(below, default=(0, ()))
            known[function] = (size + frame.get(function, 0) + 8, (function,) + tail)
        return known[function]

    for entry in entries.split(","):
        titles = [t for t in frame if t == entry or t.endswith(":" + entry)]
        if not titles:
            bad.add(f"no such entry: {entry}")
            continue
        size, path = deepest(titles[0], ())
        print(f"{entry}: {size} bytes: {' -> '.join(p.rsplit(':', 1)[-1] for p in path)}")
        if size + int(reserve) > int(max_stack):
            bad.add(f"stack of {entry}: {size} + {reserve} reserve > {max_stack}")
    print("\n".join(sorted(bad)))
    return bool(bad)


sys.exit(main(*sys.argv[1:]))
