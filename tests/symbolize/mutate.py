#!/usr/bin/env python3
"""Damage a program's debug information and headers and ask about it all the same.

usage: mutate.py KNELL_SYMBOLIZE FILE N [SEED [FORM]]

Each of N mutants has 1 to 32 bytes changed, or is cut short. The tool must end by itself,
in time and without a signal; its exit code is its own affair.

FORM: how FILE's debug information lies, "inside" (default), "zlib", "zstd", "apart" (the
mutant is the separate file of an intact program), "dwo" and "dwp" (FILE is a C source, and
the mutant what is split off it) or "dwz" (the mutant is the alternate file). Exits 77
when a tool for it is missing.
"""
import os
import random
import re
import shutil
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


class Missing(Exception):
    pass


def run(*command):
    if not shutil.which(command[0]):
        raise Missing(command[0])
    p = subprocess.run(command, capture_output=True, text=True, timeout=200)
    if p.returncode:
        raise Missing(f"{command[0]}: {p.stderr.strip()}")
    return p.stdout


def lay_out(form, path, folder):
    """Returns the program to ask about and the file to damage, both in @folder."""
    program, apart = f"{folder}/p", f"{folder}/p.debug"
    if form in ("dwo", "dwp"):
        os.chdir(folder)
        # llvm-dwp 14 does not come to an end with gcc's.
        compiler = "gcc" if form == "dwo" else "clang"
        run(compiler, "-O2", "-g", "-gdwarf-5", "-gsplit-dwarf", "-c", path, "-o", "p.o")
        run(compiler, "p.o", "-o", "p")
        if form == "dwo":
            return program, f"{folder}/p.dwo"
        run("llvm-dwp", "p.dwo", "-o", "p.dwp")
        os.remove("p.dwo")
        return program, f"{folder}/p.dwp"
    shutil.copy(path, program)
    if form in ("zlib", "zstd"):
        run("objcopy", "--compress-debug-sections=" + form, program)
        if form.encode() not in subprocess.run(["readelf", "-tW", program],
                                               capture_output=True).stdout.lower():
            raise Missing(f"an objcopy that knows {form}")
    elif form == "apart":
        os.chdir(folder)
        run("objcopy", "--only-keep-debug", program, apart)
        run("strip", "-g", program)
        notes = run("readelf", "-n", program)
        build_id = re.search(r"Build ID: (\w+)", notes)[1]
        os.makedirs(f"dbg/.build-id/{build_id[:2]}")
        apart = f"{folder}/dbg/.build-id/{build_id[:2]}/{build_id[2:]}.debug"
        os.rename("p.debug", apart)
        return program, apart
    elif form == "dwz":
        os.chdir(folder)
        shutil.copy(path, "q")
        run("dwz", "-m", "common", "-M", "common", "p", "q", "-L", "none", "-l", "none")
        return program, f"{folder}/common"
    return program, program


def main():
    tool, path, n = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2]), int(sys.argv[3])
    random.seed(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
    form = sys.argv[5] if len(sys.argv) > 5 else "inside"
    bad = 0
    with tempfile.TemporaryDirectory(prefix="knell-mutate-") as folder:
        try:
            program, file = lay_out(form, path, folder)
        except Missing as e:
            print(f"no {e}")
            sys.exit(77)
        with open(file, "rb") as f:
            original = f.read()
        places = targets(file)
        code = [int(m[1], 16) for m in re.finditer(r"^(\w+) [tT] ", run("nm", program), re.M)]
        for i in range(n):
            with open(file, "wb") as f:
                f.write(mutant(original, places))
            ask = [f"{random.choice(code) + random.randrange(64):#x}" for _ in range(20)]
            try:
                p = subprocess.run([tool, "--debug-dir", f"{folder}/dbg", "--deadline", "5000",
                                    "-afiCe", program, *ask],
                                   capture_output=True, timeout=20)
                # A sanitizer's exit code is 1 as well.
                failed = (p.returncode not in (0, 1) or b"Sanitizer" in p.stderr or
                          b"runtime error" in p.stderr)
                what = f"exit {p.returncode}: {p.stderr[-300:]}"
            except subprocess.TimeoutExpired:
                failed, what = True, "hangs"
            if failed:
                bad += 1
                kept = f"/tmp/knell-mutant-{os.getpid()}-{i}"
                shutil.copytree(folder, kept)
                print(f"mutant {i}: {what}, kept in {kept}, asked {ask[:3]}")
        os.chdir("/")
    print(f"{n} mutants of {path}, {form}: {bad} failed")
    sys.exit(1 if bad else 0)


main()
