"""Runs inside of gdb: the frames of each death that $DEATHS names, of the program given to
gdb, without knell. Inlined calls and frames made up for tail calls are left out.
"""
import os

import gdb


def bases(pid):
    """Where each file and the vDSO begin, with the ends of their parts."""
    parts, first = [], {}
    with open(f"/proc/{pid}/maps", encoding="utf-8") as maps:
        for line in maps:
            span, _, _, _, _, *path = line.split(maxsplit=5)
            start, end = (int(x, 16) for x in span.split("-"))
            name = path[0].strip() if path else ""
            if name.startswith("/") or name == "[vdso]":
                first.setdefault(name, start)
                parts.append((start, end, name))
    return parts, first


def show(pc, parts, first):
    for start, end, name in parts:
        if start <= pc < end:
            short = "linux-vdso.so.1" if name == "[vdso]" else os.path.basename(name)
            return f"{short} {pc - first[name]:#x}"
    return "? 0x0"


gdb.execute("set pagination off")
gdb.execute("set backtrace past-main on")
gdb.execute("set backtrace past-entry on")
gdb.execute("set backtrace limit 600")
gdb.execute("handle SIGUSR1 SIGPROF nostop noprint pass")
for death in os.environ["DEATHS"].split():
    print(f"= {death}", flush=True)
    try:
        gdb.execute(f"run -u {death} </dev/null >/dev/null 2>&1", to_string=True)
        where = bases(gdb.selected_inferior().pid)
        frame = gdb.newest_frame()
        while frame:
            if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
                print(show(frame.pc(), *where))
            frame = frame.older()
        gdb.execute("kill", to_string=True)
    except (gdb.error, OSError) as e:
        print(e)
