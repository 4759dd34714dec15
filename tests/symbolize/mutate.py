#!/usr/bin/env python3
"""Damage a program's debug information and headers and ask about it all the same.

usage: mutate.py KNELL_SYMBOLIZE FILE N [SEED]

Each of N mutants has 1 to 32 bytes changed, or is cut short. The tool must end by itself,
in time and without a signal; its exit code is its own affair.
"""
import os
import random
import re
import subprocess
import sys
import tempfile


def targets(path):
    """Places worth damaging: debug sections, symbols, section headers, the ELF header."""
    out = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True,
                         check=True).stdout
    places = [(0, 64)]
    for m in re.finditer(r"\]\s+(\.\S+)\s+\w+\s+\w+\s+(\w+)\s+(\w+)", out):
        if re.match(r"\.(debug|symtab|strtab|shstrtab|note|gnu)", m[1]):
            places.append((int(m[2], 16), int(m[3], 16)))
    headers = re.search(r"starting at offset (0x\w+)", out)
    if headers:
        at = int(headers[1], 16)
        places.append((at, os.path.getsize(path) - at))
    return [p for p in places if p[1] > 0]


def mutant(original, places):
    data = bytearray(original)
    if random.random() < 0.05:
        return data[:random.randrange(len(data))]
    at, size = random.choice(places)
    for _ in range(random.choice((1, 2, 4, 8, 32))):
        where = min(at + random.randrange(size), len(data) - 1)
        data[where] = random.choice((0, 1, 0x7f, 0x80, 0xff, random.randrange(256)))
    return data


def main():
    tool, path, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
    random.seed(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
    with open(path, "rb") as f:
        original = f.read()
    places, bad = targets(path), 0
    nm = subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout
    code = [int(m[1], 16) for m in re.finditer(r"^(\w+) [tT] ", nm, re.M)]
    with tempfile.TemporaryDirectory(prefix="knell-mutate-") as folder:
        for i in range(n):
            file = f"{folder}/m"
            with open(file, "wb") as f:
                f.write(mutant(original, places))
            ask = [f"{random.choice(code) + random.randrange(64):#x}" for _ in range(20)]
            try:
                p = subprocess.run([tool, "-afiCe", file, *ask], capture_output=True,
                                   timeout=20)
                failed = p.returncode not in (0, 1)
                what = f"exit {p.returncode}: {p.stderr[-300:]}"
            except subprocess.TimeoutExpired:
                failed, what = True, "hangs"
            if failed:
                bad += 1
                kept = f"/tmp/knell-mutant-{os.getpid()}-{i}"
                os.replace(file, kept)
                print(f"mutant {i}: {what}, kept as {kept}, asked {ask[:3]}")
    print(f"{n} mutants of {path}, {bad} failed")
    sys.exit(1 if bad else 0)


main()
