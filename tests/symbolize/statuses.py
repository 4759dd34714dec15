#!/usr/bin/env python3
"""What the symbolizer found, or did not, is in the event and in `knell show`.

usage: statuses.py PROGRAM KNELL_UPLOAD KNELL [CASE...]

A program dies; before its report is read its file is stripped, replaced, removed, damaged.
Checked are the frames (names, lines, data.symbolicator_status), contexts.knell and what
knell prints, as text and as JSON.
"""
import os
import re
import shutil
import struct

import debuginfod
from debuginfod import check, frames_of, is_named, module_shown, play, run


def deliver(m, status, debug, symbols=None, text=None):
    """Send and look: @status, @debug of the program's module, @symbols: the event says so."""
    event, _ = m.upload()
    top = frames_of(event)[-2:]
    knell = event["contexts"]["knell"]
    check(knell.get("modules_without_symbols", {}).get("dying") == symbols, knell)
    check(knell.get("modules_without_debug_info", {}).get("dying") ==
          (None if debug == "ok" else debug), knell)
    for f in frames_of(event):
        done = f.get("data", {}).get("symbolicator_status") == "symbolicated"
        check(done == bool(f.get("lineno") and f.get("function")), f)
        check(f["instruction_addr"].startswith("0x") and f["package"] and f["trust"] and
              isinstance(f["in_app"], bool) and f["image_addr"].startswith("0x"), f)
    shown = module_shown(m.show())
    check(shown["symbols"] == status and shown["debug_file"] == debug, shown)
    out = run(debuginfod.KNELL, "show", "-1", env=m.environment()).stdout
    check(not text or re.search(rf"^  dying: {text}", out, re.M), out)
    check(bool(text) or "Without lines" not in out, out)
    return event, top


def whole(m):
    shutil.copy(debuginfod.PROGRAM, m.program)


def found(m):
    whole(m)
    m.crash()
    event, _ = deliver(m, "ok", "ok")
    check(is_named(event), frames_of(event)[-2:])


def hints_off(m):
    whole(m)
    m.settings["KNELL_EVENT_FRAME_HINTS"] = "no"
    m.crash()
    event, _ = m.upload()
    check(all("data" not in f and "trust" not in f for f in frames_of(event)))
    check(frames_of(event)[-1]["function"] == "inlined_read" and frames_of(event)[-1]["lineno"])


def only_symbols(m):
    run("strip", "-g", "-o", m.program, debuginfod.PROGRAM)
    m.crash()
    _, top = deliver(m, "symtab_only", "missing", text="no debug information was found")
    check(top[-1]["function"] == "dies_here" and "lineno" not in top[-1], top)


def nothing_at_all(m):
    m.crash()  # it is stripped
    _, top = deliver(m, "not_found", "missing", "not_found", "no debug information was found")
    check("function" not in top[-1], top)


def removed(m):
    whole(m)
    m.crash()
    os.remove(m.program)
    deliver(m, "missing", "missing", "missing", "its file is not on this machine")


def other_build(m):
    whole(m)
    m.crash()
    os.remove(m.program)
    with open(f"{m.folder}/o.c", "w", encoding="utf-8") as f:
        f.write("int main(void) { return 0; }\n")
    run("cc", "-g", "-Wl,--build-id", f"{m.folder}/o.c", "-o", m.program)
    _, top = deliver(m, "build_id_mismatch", "build_id_mismatch", "build_id_mismatch",
                     "another build lies at its path now")
    check("function" not in top[-1], top)


def other_debug_file(m):
    """The program is right, the file that should be its debug file is another build's."""
    m.crash()
    with open(f"{m.folder}/o.c", "w", encoding="utf-8") as f:
        f.write("int main(void) { return 0; }\n")
    folder = f"{m.folder}/dbg/.build-id/{m.id[:2]}"
    os.makedirs(folder)
    run("cc", "-g", "-Wl,--build-id", f"{m.folder}/o.c", "-o", f"{folder}/{m.id[2:]}.debug")
    m.settings["KNELL_SYMBOLS_DEBUG_DIR"] = f"{m.folder}/dbg"
    deliver(m, "not_found", "build_id_mismatch", "not_found",
            "the debug file that is there belongs to another build")


def damaged(m):
    whole(m)
    m.crash()
    with open(m.program, "r+b") as f:
        f.truncate(os.path.getsize(m.program) // 2)
    deliver(m, "malformed", "malformed", "malformed", "its file is damaged")


def section(path, name):
    """File offset and size of a section, and the place of its header."""
    with open(path, "rb") as f:
        data = f.read()
    at, size, n, names = (*struct.unpack_from("<Q", data, 40), *struct.unpack_from("<HHH", data, 58))
    text = struct.unpack_from("<Q", data, at + names * size + 24)[0]
    for i in range(n):
        head = at + i * size
        start = text + struct.unpack_from("<I", data, head)[0]
        if data[start:data.index(b"\0", start)] == name.encode():
            return (*struct.unpack_from("<QQ", data, head + 24), head)
    raise AssertionError(name)


def too_large(m):
    """A header that promises more than any bound allows."""
    whole(m)
    m.crash()
    at, _, head = section(m.program, ".debug_info")
    with open(m.program, "r+b") as f:
        f.seek(head + 8)
        flags = struct.unpack("<Q", f.read(8))[0]
        f.seek(head + 8)
        f.write(struct.pack("<Q", flags | 1 << 11))  # SHF_COMPRESSED
        f.seek(at)
        f.write(struct.pack("<IIQQ", 2, 0, 1 << 40, 1))  # zstd, 1 TiB
    _, top = deliver(m, "too_large", "too_large", "too_large",
                     "its debug information is over the limit of size")
    check(top[-1]["function"] == "dies_here", top)  # the symbol table has it all the same


def late(m):
    """A quarter of a gigabyte to unpack and a thousandth of a second for it."""
    whole(m)
    run("objcopy", "--dump-section", f".debug_info={m.folder}/info", m.program)
    with open(f"{m.folder}/info", "r+b") as f:
        behind = f.read()  # its references are relative
        one = struct.pack("<IHIB", (1 << 20) - 4, 4, 0, 8)  # a unit of nothing
        f.seek(0)
        f.write(one.ljust(1 << 20, b"\0") * 256 + behind)
    run("objcopy", "--update-section", f".debug_info={m.folder}/info", m.program)
    run("objcopy", "--compress-debug-sections=zlib", m.program)
    os.remove(f"{m.folder}/info")
    m.crash()
    m.settings["KNELL_SYMBOLS_DEADLINE"] = "1ms"
    event, _ = m.upload()
    knell, top = event["contexts"]["knell"], frames_of(event)[-1]
    check(knell["modules_without_symbols"]["dying"] == "timeout", knell)
    check(knell["modules_without_debug_info"]["dying"] == "timeout", knell)
    check(top["function"] == "dies_here" and "lineno" not in top, top)
    check("symbolicator_status" not in top.get("data", {}), top)
    shown = module_shown(m.show())  # a person may wait
    check(shown["symbols"] == "ok" and shown["debug_file"] == "ok", shown)


def damaged_debug_file(m):
    m.crash()
    folder = f"{m.folder}/dbg/.build-id/{m.id[:2]}"
    os.makedirs(folder)
    shutil.copy(m.debug, f"{folder}/{m.id[2:]}.debug")
    os.truncate(f"{folder}/{m.id[2:]}.debug", os.path.getsize(m.debug) // 2)
    m.settings["KNELL_SYMBOLS_DEBUG_DIR"] = f"{m.folder}/dbg"
    deliver(m, "not_found", "malformed", "not_found", "its debug file is damaged")


def without_servers(case):
    def alone(m):
        m.settings.clear()
        case(m)
    return alone


play({f.__name__: without_servers(f) for f in (
    found, hints_off, only_symbols, nothing_at_all, removed, other_build, other_debug_file,
    damaged, damaged_debug_file, too_large, late)})
