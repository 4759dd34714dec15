#!/usr/bin/env python3
"""differential.py on one program, built by the compilers that are here in several ways.

usage: differential_builds.py KNELL_SYMBOLIZE SAMPLE.c SAMPLE.cc

Exits 1 when one differs, 77 when nothing could be built or there is no llvm-symbolizer.
"""
import os
import shutil
import subprocess
import sys
import tempfile

ADDRESSES = 2000
BUILDS = [
    ("gcc", "-O2 -g"),
    ("gcc", "-O3 -g -flto"),
    ("gcc", "-O2 -g1 -gdwarf-4"),
    ("g++", "-O2 -g"),
    ("g++", "-O2 -gdwarf-4 -ffunction-sections"),
    ("g++", "-O2 -g1"),
    ("g++", "-O0 -g"),
    ("g++", "-O2 -g -flto"),
    ("clang", "-O2 -g"),
    ("clang++", "-O2 -gdwarf-5"),
    ("clang++", "-O3 -gdwarf-4 -ffunction-sections"),
]


def main():
    tool, c_source, cxx_source = map(os.path.abspath, sys.argv[1:4])
    compare = os.path.join(os.path.dirname(os.path.abspath(__file__)), "differential.py")
    if not shutil.which("llvm-symbolizer"):
        print("no llvm-symbolizer")
        sys.exit(77)
    failed, done = 0, 0
    with tempfile.TemporaryDirectory(prefix="knell-") as folder:
        program = os.path.join(folder, "program")
        for compiler, flags in BUILDS:
            source = cxx_source if compiler.endswith("++") else c_source
            if not shutil.which(compiler) or subprocess.run(
                    [compiler, *flags.split(), source, "-o", program], cwd=folder,
                    stderr=subprocess.DEVNULL).returncode:
                print(f"skip {compiler} {flags}: not to be had here")
                continue
            p = subprocess.run([sys.executable, compare, tool, program, str(ADDRESSES)],
                               capture_output=True, text=True)
            print(f"{'ok  ' if p.returncode == 0 else 'FAIL'} {compiler} {flags}")
            if p.returncode:
                print(p.stdout + p.stderr)
            failed += p.returncode != 0
            done += 1
    sys.exit(77 if not done else failed > 0)


main()
