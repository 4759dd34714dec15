#!/usr/bin/env python3
"""Other readers of minidumps agree with knell's own about the reports of all scenarios.

usage: readers.py lldb|stackwalk|gdb FOLDER VICTIM

gdb reads no minidumps: it looks at the same death of the same program without knell.

FOLDER holds NAME.dmp and NAME.expect, as test_crash leaves them. $KNELL_STACKWALK is
Breakpad's minidump_stackwalk; without, the one in $PATH. Exits 77 without the reader.
"""
import glob
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys

MAX_FRAMES = 512  # of a thread in a report, KNELL_MAX_FRAMES
FIRST_FRAMES = 384  # so many of them are the innermost, KNELL_FIRST_FRAMES

# Why lldb has other frames than knell. (Frames it makes up for tail calls are left out.)
LLDB_DIFFERS = {
    "misaligned": "shows an inlined call as a frame with an address",
    "raw_thread": "goes on behind the end of a stack that begins nowhere",
    "in_dlopen": "shows an inlined call of the loader as a frame with an address",
    "in_coroutine": "goes on behind the end of a stack that begins nowhere",
    "in_handler_altstack": "stops where the stack changes",
    "sp_in_heap": "does not guess",
    "late_libraries": "has no frame information of a library that is gone",
    "no_proc_overflow": "has no map to find the stack behind its guard",
}


GDB_LOOKS_AT = """null_write worker abort assert double_free heap_smash call_null call_garbage
divide illegal breakpoint misaligned past_end_of_file trapped_syscall non_canonical sp_in_heap
sp_unmapped sp_zero in_handler in_handler_altstack in_phdr_callback loader_lock_held
stdio_locked in_atfork in_dlopen in_dlclose during_dlopen in_malloc in_profiler in_coroutine
in_jit_code small_stack own_altstack raw_thread in_atexit""".split()

# Why gdb has other frames than knell. (Frames it makes up for tail calls are left out.)
GDB_DIFFERS = {
    "sp_in_heap": "guesses otherwise",
    "in_coroutine": "goes on behind the end of a stack that begins nowhere",
    "in_jit_code": "guesses a caller of code without frame information",
}


def same_frames(theirs, ours):
    """Deep stacks: lldb ends where the saved bytes do, knell has seen on in the process,
    and keeps the first and the last frames."""
    if len(ours) < MAX_FRAMES:
        return theirs == ours
    n = min(len(theirs), FIRST_FRAMES)
    return n >= 60 and theirs[:n] == ours[:n]


def expected(folder):
    for path in sorted(glob.glob(os.path.join(folder, "*.expect"))):
        with open(path, encoding="ascii") as text:
            head, *frames = text.read().splitlines()
        signo, tid, threads, address = head.split()
        yield os.path.basename(path)[:-len(".expect")], {
            "signal": signal.Signals(int(signo)).name, "tid": int(tid),
            "threads": int(threads), "address": int(address, 16),
            "frames": [int(f.split()[0], 16) for f in frames],
            "places": [" ".join(f.split()[1:]) for f in frames]}


def run_lldb(folder, victim, names):
    """One process for all: starting it takes longer than reading a report."""
    commands = os.path.join(folder, "commands")
    with open(commands, "w", encoding="ascii") as out:
        # Without arguments: lldb 14 follows those of deep recursions until it crashes.
        out.write("settings set frame-format 'frame #${frame.index}: ${frame.pc}"
                  "{${frame.is-artificial}}\\n'\n")
        for name in names:
            out.write(f"target create --core {folder}/{name}.dmp {victim}\n"
                      "thread list\nbt 600\ntarget delete --all\n")
    text = subprocess.run(["lldb", "-b", "-x", "-s", commands], capture_output=True,
                          text=True, check=False).stdout
    parts = re.split(r"^\(lldb\) target create --core \S*/(\S+)\.dmp .*$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def lldb(folder, victim, all_expected):
    shown = run_lldb(folder, victim, all_expected)
    for name, e in all_expected.items():
        text = shown.get(name, "")
        threads = re.findall(r"^[* ] +thread #\d+: tid = (\d+)", text, re.M)
        current = re.search(r"^\* +thread #\d+: tid = (\d+).*", text, re.M)
        frames = [int(f, 16) for f in re.findall(r"frame #\d+: 0x([0-9a-f]+)$", text, re.M)]
        bad = []
        if len(threads) != e["threads"]:
            bad.append(f"{len(threads)} threads, not {e['threads']}")
        if not current or int(current[1]) != e["tid"] or e["signal"] not in current[0]:
            bad.append(f"thread {current and current[0]}, not {e['tid']} {e['signal']}")
        if not same_frames(frames, e["frames"]) and name not in LLDB_DIFFERS:
            at = next((i for i, (a, b) in enumerate(zip(frames, e["frames"])) if a != b),
                      min(len(frames), len(e["frames"])))
            bad.append(f"frames {len(frames)}, not {len(e['frames'])}; other from {at} on")
        yield name, bad, text


def gdb(folder, victim, all_expected):
    """gdb_frames.py runs inside of gdb and prints "= NAME", then a frame a line."""
    names = [n for n in GDB_LOOKS_AT if n in all_expected]
    text = subprocess.run(
        ["gdb", "-batch", "-nx", "-iex", "set debuginfod enabled off", "-x",
         os.path.join(os.path.dirname(os.path.abspath(__file__)), "gdb_frames.py"), victim],
        env={**os.environ, "DEATHS": " ".join(names)}, cwd=folder, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False).stdout
    parts = re.split(r"^= (\S+)$", text, flags=re.M)
    shown = dict(zip(parts[1::2], parts[2::2]))
    for name in names:
        theirs = re.findall(r"^(\S+ 0x[0-9a-f]+)$", shown.get(name, ""), re.M)
        ours = all_expected[name]["places"]
        at = next((i for i, (a, b) in enumerate(zip(theirs, ours)) if a != b),
                  min(len(theirs), len(ours)))
        bad = []
        if theirs != ours and name not in GDB_DIFFERS:
            bad.append(f"frames {len(theirs)}, not {len(ours)}; other from {at} on")
        yield name, bad, "\n".join(f"{a:40} {b}" for a, b in itertools.zip_longest(
            theirs, ours, fillvalue=""))


def stackwalk(folder, program, all_expected):
    for name, e in all_expected.items():
        text = subprocess.run([program, "-m", f"{folder}/{name}.dmp"], capture_output=True,
                              text=True, errors="replace", check=False).stdout
        crash = re.search(r"^Crash\|(\S+)[^|]*\|0x([0-9a-f]+)\|(\d+)$", text, re.M)
        top = re.search(r"^0\|0\|([^|]*)\|\|\|\|0x([0-9a-f]+)$", text, re.M)
        bases = {m[0]: int(m[1], 16) for m in
                 re.findall(r"^Module\|([^|]*)\|.*\|0x([0-9a-f]+)\|0x[0-9a-f]+\|\d$", text, re.M)}
        threads = len(set(re.findall(r"^(\d+)\|\d+\|", text, re.M)))
        bad = []
        if not crash or crash[1] != e["signal"] or crash[3] != "0":
            bad.append(f"crash {crash and crash[0]}, not {e['signal']} of thread 0")
        pc = bases.get(top[1], 0) + int(top[2], 16) if top else None
        if pc != e["frames"][0]:
            bad.append(f"pc {top and top[0]}, not {e['frames'][0]:#x}")
        if threads > e["threads"]:
            bad.append(f"{threads} threads, not {e['threads']}")
        yield name, bad, text


def main(which, folder, victim):
    program = os.environ.get("KNELL_STACKWALK") or shutil.which("minidump_stackwalk")
    if which != "stackwalk" and not shutil.which(which) or which == "stackwalk" and not program:
        print(f"skip: no {which}")
        return 77
    all_expected = dict(expected(folder))
    found = {"lldb": lambda: lldb(folder, victim, all_expected),
             "gdb": lambda: gdb(folder, victim, all_expected),
             "stackwalk": lambda: stackwalk(folder, program, all_expected)}[which]()
    n_bad = 0
    for name, bad, text in found:
        print(f"FAIL {name}: {'; '.join(bad)}" if bad else f"ok   {name}")
        if bad and os.environ.get("VERBOSE"):
            print(text)
        n_bad += bool(bad)
    print(f"{len(all_expected)} read, {n_bad} failed")
    return 1 if n_bad or not all_expected else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
