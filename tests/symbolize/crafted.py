#!/usr/bin/env python3
"""DWARF and ELF files that no compiler writes: odd but right ones, and ones made to keep
a reader busy for ever, deep in its stack or out of bounds.

usage: crafted.py KNELL_SYMBOLIZE [CASE...]

Each case writes a file with its own hands and asks for addresses in it. The right ones
must be answered; the wicked ones must be answered somehow, within the deadline that is
asked for, with little memory.
"""
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time

TEXT, TEXT_BYTES = 0x1000, 0x10000
DEADLINE_MS, PATIENCE_S = 2000, 120
MEMORY = int(os.environ.get("MEMORY_BYTES", 1 << 30))  # -1: a sanitizer takes it all

# names of DWARF, as far as they are used here
TAG_COMPILE_UNIT, TAG_SUBPROGRAM, TAG_INLINED, TAG_BLOCK = 0x11, 0x2e, 0x1d, 0x0b
TAG_NAMESPACE, AT_LANGUAGE = 0x39, 0x13
AT_SIBLING, AT_NAME, AT_STMT_LIST, AT_LOW_PC, AT_HIGH_PC = 0x01, 0x03, 0x10, 0x11, 0x12
AT_ABSTRACT_ORIGIN, AT_SPECIFICATION, AT_RANGES = 0x31, 0x47, 0x55
AT_CALL_LINE, AT_CALL_FILE, AT_EXTERNAL, AT_RNGLISTS_BASE = 0x59, 0x58, 0x3f, 0x74
AT_STR_OFFSETS_BASE, AT_ADDR_BASE, AT_DWO_NAME = 0x72, 0x73, 0x76
FORM_ADDR, FORM_DATA2, FORM_DATA4, FORM_DATA8, FORM_STRING = 0x01, 0x05, 0x06, 0x07, 0x08
FORM_UDATA, FORM_REF_ADDR, FORM_REF4, FORM_INDIRECT = 0x0f, 0x10, 0x13, 0x16
FORM_SEC_OFFSET, FORM_FLAG_PRESENT, FORM_STRX, FORM_ADDRX = 0x17, 0x19, 0x1a, 0x1b
FORM_IMPLICIT_CONST, FORM_RNGLISTX, FORM_REF_ALT = 0x21, 0x23, 0x1f20
FORM_STRX1, FORM_ADDRX1, FORM_STRP, FORM_LINE_STRP = 0x25, 0x29, 0x0e, 0x1f


def check(what, *about):
    if not what:
        raise AssertionError(about)


def leb(v):
    out = b""
    while v >= 0x80:
        out += bytes([v & 0x7f | 0x80])
        v >>= 7
    return out + bytes([v])


def u32(v):
    return struct.pack("<I", v & 0xffffffff)


def u64(v):
    return struct.pack("<Q", v & (1 << 64) - 1)


def abbrev(code, tag, children, *attributes):
    return leb(code) + leb(tag) + bytes([children]) + b"".join(
        leb(v) for attribute in attributes for v in attribute) + b"\0\0"


def unit(dies, abbrev_offset=0, version=5):
    """A compilation unit; its first DIE is 12 bytes behind its beginning."""
    head = struct.pack("<HBBI", version, 1, 8, abbrev_offset)
    return u32(len(head) + len(dies)) + head + dies


HEAD = 12


def elf(path, sections, symbols=(("sym", TEXT, TEXT_BYTES),), build_id=b"\1" * 20):
    """An ELF file with a text of nothing and the sections given."""
    strtab, symtab, at_name = [b"\0"], [b"\0" * 24], 1
    for name, at, size in symbols:
        symtab.append(struct.pack("<IBBHQQ", at_name, 0x12, 0, 1, at, size))
        strtab.append(name.encode() + b"\0")
        at_name += len(strtab[-1])
    note = struct.pack("<III4s", 4, len(build_id), 3, b"GNU\0") + build_id
    every = [(".text", 1, 6, TEXT, b"\x90" * TEXT_BYTES, 0, 0),
             (".note.gnu.build-id", 7, 0, 0, note, 0, 0),
             (".symtab", 2, 0, 0, b"".join(symtab), 4, 24),
             (".strtab", 3, 0, 0, b"".join(strtab), 0, 0)]
    every += [(name, 1, 0, 0, data, 0, 0) for name, data in sections.items()]
    names = b"\0" + b"\0".join(s[0].encode() for s in every) + b"\0.shstrtab\0"
    every.append((".shstrtab", 3, 0, 0, names, 0, 0))
    where, at = {}, 1
    for name, *_ in every:
        where[name] = at
        at += len(name) + 1
    heads, body, at = b"\0" * 64, [], 64 + 2 * 56
    for name, kind, flags, addr, data, link, entry in every:
        pad = -at % 16
        if name == ".text":
            pad = TEXT - at
            text = at + pad
        body += [b"\0" * pad, data]
        at += pad
        heads += struct.pack("<IIQQQQIIQQ", where[name],
                             kind, flags, addr, at, len(data), link, 1, 8, entry)
        at += len(data)
    loads = struct.pack("<IIQQQQQQ", 1, 4, 0, 0, 0, 64, 64, 0x1000)
    loads += struct.pack("<IIQQQQQQ", 1, 5, text, TEXT, TEXT, TEXT_BYTES, TEXT_BYTES, 0x1000)
    head = b"\x7fELF\2\1\1" + b"\0" * 9 + struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, TEXT, 64, at, 0, 64, 56, 2, 64, len(every) + 1, len(every))
    with open(path, "wb") as f:
        f.write(head + loads + b"".join(body) + heads)


def limits():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def ask(path, *pcs, options=()):
    """Status and frames of each address."""
    began = time.monotonic()
    p = subprocess.run([TOOL, "--status", "--deadline", str(DEADLINE_MS), *options, "-afiC",
                        "-e", path, *map(hex, pcs)], capture_output=True, text=True,
                       errors="replace", timeout=PATIENCE_S,
                       preexec_fn=limits)
    took = time.monotonic() - began
    check(p.returncode == 0, p.returncode, p.stderr[-2000:])
    groups = []
    for line in p.stdout.splitlines():
        if line.startswith("0x") and len(line) == 18:
            groups.append([])
        elif line.startswith("status "):
            groups[-1].append(line.split()[1])
        else:
            groups[-1].append(line)
    if os.environ.get("SHOW"):
        print(f"   {took:.2f} s", [[t[:40] for t in g[:5]] for g in groups[:2]], flush=True)
    return [(g[0], list(zip(g[1::2], g[2::2]))) for g in groups]


def simple_line(rows=b""):
    """A line table of version 5 with one file, then @rows."""
    head = bytes([1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1])
    head += bytes([1]) + leb(1) + leb(FORM_STRING) + leb(1) + b"/d\0"
    head += bytes([1]) + leb(1) + leb(FORM_STRING) + leb(2) + b"f.c\0f.c\0"
    return line_table(head, rows)


def line_table(head, rows):
    body = struct.pack("<HBBI", 5, 8, 0, len(head)) + head + rows
    return u32(len(body)) + body


def set_address(at):
    return b"\0\x09\x02" + u64(at)


def row(line, advance):
    """Advance the line and the address, append a row."""
    return b"\x03" + leb(line) + b"\x02" + leb(advance) + b"\x01"


END = b"\0\x01\x01"


# --- odd and right --------------------------------------------------------------------

def indirect_forms():
    """Each attribute says by itself which form it has."""
    names = (AT_NAME, AT_LOW_PC, AT_HIGH_PC)
    table = abbrev(1, TAG_COMPILE_UNIT, 1, *((a, FORM_INDIRECT) for a in (*names, AT_STMT_LIST)))
    table += abbrev(2, TAG_SUBPROGRAM, 1, *((a, FORM_INDIRECT) for a in names))
    table += abbrev(3, TAG_INLINED, 0, *((a, FORM_INDIRECT) for a in (
        AT_ABSTRACT_ORIGIN, AT_LOW_PC, AT_HIGH_PC, AT_CALL_FILE, AT_CALL_LINE)))
    table += abbrev(4, TAG_SUBPROGRAM, 0, (AT_NAME, FORM_INDIRECT)) + b"\0"

    def addr(v):
        return leb(FORM_ADDR) + u64(v)

    def size(v):
        return leb(FORM_INDIRECT) + leb(FORM_DATA4) + u32(v)  # and again

    def name(v):
        return leb(FORM_STRING) + v + b"\0"

    top = leb(1) + name(b"f.c") + addr(TEXT) + size(0x100) + leb(FORM_SEC_OFFSET) + u32(0)
    inner = leb(4) + name(b"inner")
    where = HEAD + len(top)
    dies = top + inner + leb(2) + name(b"outer") + addr(TEXT) + size(0x100)
    dies += leb(3) + leb(FORM_REF4) + u32(where) + addr(TEXT + 0x10) + size(0x10)
    dies += leb(FORM_DATA2) + b"\0\0" + leb(FORM_UDATA) + leb(300) + b"\0\0\0"
    elf("a", {".debug_info": unit(dies), ".debug_abbrev": table, ".debug_line": simple_line(
        set_address(TEXT) + row(9, 0) + row(1, 0x10) + row(1, 0x10) + b"\x02" + leb(0xe0) + END)})
    check(ask("a", TEXT + 4, TEXT + 0x18, TEXT + 0x200) == [
        ("ok", [("outer", "/d/f.c:10")]),
        ("ok", [("inner", "/d/f.c:11"), ("outer", "/d/f.c:300")]),
        ("symtab_only", [("sym", "??:0")])])


def index_forms():
    """strx, strx1 to strx4, addrx, addrx1 to addrx4, each with an index that needs them."""
    def fixed(n):
        return lambda v: struct.pack("<Q", v)[:n]
    every = [(FORM_STRX, FORM_ADDRX, leb)] + [
        (FORM_STRX1 + n - 1, FORM_ADDRX1 + n - 1, fixed(n)) for n in (1, 2, 3, 4)]
    names, last = b"wrong\0right\0", 0x10002
    for strx, addrx, write in every:
        index = 0xff if strx == FORM_STRX1 else 0xffff if strx == FORM_STRX1 + 1 else last
        offsets = u32(4 * last + 8) + struct.pack("<HH", 5, 0) + b"".join(
            u32(6 if i == index else 0) for i in range(last + 1))
        addresses = u32(8 * last + 12) + struct.pack("<HBB", 5, 8, 0) + b"".join(
            u64(TEXT if i == index else 0) for i in range(last + 1))
        table = abbrev(1, TAG_COMPILE_UNIT, 1, (AT_STR_OFFSETS_BASE, FORM_SEC_OFFSET),
                       (AT_ADDR_BASE, FORM_SEC_OFFSET), *FUNCTION)
        table += abbrev(2, TAG_SUBPROGRAM, 0, (AT_NAME, strx), (AT_LOW_PC, addrx),
                        (AT_HIGH_PC, FORM_DATA4)) + b"\0"
        dies = leb(1) + u32(8) + u32(8) + FUNCTION_PCS
        dies += leb(2) + write(index) + write(index) + u32(0x100) + b"\0"
        got = function_of(table, dies, {".debug_str_offsets": offsets, ".debug_str": names,
                                        ".debug_addr": addresses})
        check(got[1] == [("right", "??:0")] or got[1][0][0] == "right", hex(strx), got)


def sequences():
    """Sequences that lie in no order, of one address, and dead ones at 0, 1, -1 and -2."""
    def sequence(at, *lines):
        rows = b"".join(row(line, 4 if i else 0) for i, line in enumerate(lines))
        return set_address(at) + rows + b"\x02" + leb(4) + END
    rows = b"".join((
        sequence(TEXT + 0x200, 30, 1), sequence(0, 90, 1, 1), sequence(TEXT, 10, 1),
        set_address(TEXT + 0x300) + row(70, 0) + END, sequence(2**64 - 1, 80),
        sequence(1, 60, 1), sequence(2**64 - 2, 50), sequence(TEXT + 0x100, 20, 1)))
    table = abbrev(1, TAG_COMPILE_UNIT, 0, (AT_LOW_PC, FORM_ADDR), (AT_HIGH_PC, FORM_DATA4),
                   (AT_STMT_LIST, FORM_SEC_OFFSET)) + b"\0"
    elf("a", {".debug_info": unit(UNIT_DIE + u32(0)), ".debug_abbrev": table,
              ".debug_line": simple_line(rows)})
    got = ask("a", TEXT, TEXT + 4, TEXT + 8, TEXT + 0x103, TEXT + 0x107, TEXT + 0x108,
              TEXT + 0x200, TEXT + 0x204, TEXT + 0x300, 0, 1, 2**64 - 2)
    lines = [int(place.rsplit(":")[-1]) if place[0] == "/" else 0
             for _, ((_, place),) in got]
    check(lines == [11, 12, 0, 21, 22, 0, 31, 32, 0, 0, 0, 0], lines)


def languages():
    """Names have scopes in some languages, by the codes of DWARF and of dwarfstd.org's list:
    C++ (98, 03, 11, 14, 17, 20, 23), Objective-C++, D and Rust; not in C (89, 99, 11, 17)."""
    table = abbrev(1, TAG_COMPILE_UNIT, 1, (AT_LANGUAGE, FORM_DATA2), (AT_LOW_PC, FORM_ADDR),
                   (AT_HIGH_PC, FORM_DATA4))
    table += abbrev(2, TAG_NAMESPACE, 1, (AT_NAME, FORM_STRING))
    table += abbrev(3, TAG_SUBPROGRAM, 0, (AT_NAME, FORM_STRING), *FUNCTION) + b"\0"
    for codes, name in (((0x04, 0x19, 0x1a, 0x21, 0x2a, 0x2b, 0x3a, 0x11, 0x13, 0x1c), "n::f"),
                        ((0x01, 0x0c, 0x1d, 0x2c), "f")):
        for code in codes:
            dies = leb(1) + struct.pack("<H", code) + FUNCTION_PCS + leb(2) + b"n\0"
            got = function_of(table, dies + leb(3) + b"f\0" + FUNCTION_PCS + b"\0\0")
            check(got == ("ok", [(name, "??:0")]), hex(code), got)


def beyond_4gib():
    """Sections that lie beyond 4 GiB of the file, most of which is a hole."""
    top = UNIT_DIE + leb(2) + b"far\0" + FUNCTION_PCS + b"\0"
    table = UNIT + abbrev(2, TAG_SUBPROGRAM, 0, (AT_NAME, FORM_STRING), *FUNCTION) + b"\0"
    elf("a", {".debug_info": unit(top), ".debug_abbrev": table})
    with open("a", "r+b") as f:
        head = bytearray(f.read())
        heads, = struct.unpack_from("<Q", head, 40)
        n, = struct.unpack_from("<H", head, 60)
        for i in range(n):
            name, kind, flags, addr, at, size = struct.unpack_from("<IIQQQQ", head, heads + 64 * i)
            if addr == 0 and kind:  # the code stays
                f.seek(at + (5 << 30))
                f.write(head[at:at + size])
                f.seek(at)
                f.write(b"\xff" * size)
                struct.pack_into("<Q", head, heads + 64 * i + 24, at + (5 << 30))
        f.seek(heads + (5 << 30))
        f.write(head[heads:heads + 64 * n])
        f.seek(heads)
        f.write(b"\xff" * 64 * n)
        f.seek(40)
        f.write(u64(heads + (5 << 30)))
    check(os.path.getsize("a") > 5 << 30)
    check(ask("a", TEXT + 4)[0] == ("ok", [("far", "??:0")]), ask("a", TEXT + 4))


def function_of(table, dies, sections=None):
    elf("a", {".debug_info": unit(dies), ".debug_abbrev": table, **(sections or {})})
    return ask("a", TEXT + 4)[0]


UNIT = abbrev(1, TAG_COMPILE_UNIT, 1, (AT_LOW_PC, FORM_ADDR), (AT_HIGH_PC, FORM_DATA4))
UNIT_DIE = leb(1) + u64(TEXT) + u32(TEXT_BYTES)
FUNCTION = ((AT_LOW_PC, FORM_ADDR), (AT_HIGH_PC, FORM_DATA4))
FUNCTION_PCS = u64(TEXT) + u32(TEXT_BYTES)


# --- wicked ---------------------------------------------------------------------------

def origin_cycles():
    """Names that are each other's, or their own."""
    for at in (AT_ABSTRACT_ORIGIN, AT_SPECIFICATION):
        table = UNIT + abbrev(2, TAG_SUBPROGRAM, 0, (at, FORM_REF4), *FUNCTION)
        table += abbrev(3, TAG_SUBPROGRAM, 0, (at, FORM_REF4)) + b"\0"
        where = HEAD + len(UNIT_DIE)
        after = where + 1 + 4 + 12
        for first, second in ((where, where), (after, where), (after, after), (after, 0),
                              (0xffffffff, after), (after, where + 3)):
            dies = UNIT_DIE + leb(2) + u32(first) + FUNCTION_PCS + leb(3) + u32(second) + b"\0"
            status, frames = function_of(table, dies)
            check(len(frames) == 1 and frames[0][0] == "sym", at, first, second, frames)


def siblings():
    """A sibling that lies before, is the DIE itself, inside of it or beyond the unit."""
    table = UNIT + abbrev(2, TAG_NAMESPACE, 1, (AT_SIBLING, FORM_REF4), (AT_NAME, FORM_STRING))
    table += abbrev(3, TAG_SUBPROGRAM, 0, (AT_NAME, FORM_STRING), *FUNCTION) + b"\0"
    where = HEAD + len(UNIT_DIE)
    for sibling in (where, HEAD, 0, where + 2, 0xffffffff, 0x7fffffff, where + 1000):
        dies = UNIT_DIE + leb(2) + u32(sibling) + b"n\0" + leb(3) + b"fun\0" + FUNCTION_PCS
        status, frames = function_of(table, dies + b"\0\0")
        check(len(frames) == 1 and frames[0][0] in ("n::fun", "fun", "sym"), sibling, frames)


def deep(tag):
    def case():
        """A million levels."""
        table = UNIT + abbrev(2, tag, 1, *FUNCTION, (AT_CALL_LINE, FORM_UDATA)) + b"\0"
        one = leb(2) + FUNCTION_PCS + leb(7)
        status, frames = function_of(table, UNIT_DIE + one * 1000000)
        check(len(frames) <= 128, len(frames))
        status, frames = function_of(table, UNIT_DIE + one * 1000000 + b"\0" * 1000001)
        check(len(frames) <= 128, len(frames))
    return case


def free_attributes():
    """DIEs of one byte that have a million attributes of none each."""
    table = UNIT + abbrev(2, TAG_BLOCK, 0, *[(AT_EXTERNAL, FORM_FLAG_PRESENT)] * 500000) + b"\0"
    dies = UNIT_DIE + leb(2) * 3000000 + b"\0"
    status, frames = function_of(table, dies)
    check(frames[0][0] in ("sym", "??"), frames)


def many_tables():
    """Units that take turns with large abbreviation tables."""
    large = b"".join(abbrev(i, TAG_BLOCK, 0, (AT_NAME, FORM_STRING)) for i in range(3, 60000))
    table, units = b"", b""
    starts = []
    for _ in range(3):
        starts.append(len(table))
        table += UNIT + large + b"\0"
    for i in range(20000):
        units += unit(UNIT_DIE + b"\0", starts[i % 3])
    elf("a", {".debug_info": units, ".debug_abbrev": table})
    ask("a", TEXT + 4)


def free_table_entries():
    """Line tables that name billions of files in no bytes at all."""
    start = bytes([1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1])
    top = abbrev(1, TAG_COMPILE_UNIT, 0, (AT_LOW_PC, FORM_ADDR), (AT_HIGH_PC, FORM_DATA4),
                 (AT_STMT_LIST, FORM_SEC_OFFSET)) + b"\0"
    for formats, n in ((b"", 0xffffffff), (leb(1) + leb(FORM_FLAG_PRESENT), 0xffffffff),
                       (leb(1) + leb(FORM_IMPLICIT_CONST), (1 << 64) - 1),
                       (leb(0x2001) + leb(0x18) + b"", 1 << 40)):
        head = start + bytes([len(formats) > 0]) + formats + leb(n)
        head += bytes([len(formats) > 0]) + formats + leb(n)
        elf("a", {".debug_info": unit(UNIT_DIE + u32(0)), ".debug_abbrev": top,
                  ".debug_line": line_table(head, set_address(TEXT) + row(9, 9) + END)})
        status, frames = ask("a", TEXT + 4)[0]
        check(len(frames) == 1, frames)


def shared_ranges():
    """Very many functions that each claim the same very many ranges."""
    n = 100000
    lists = b"".join(b"\x07" + u64(TEXT + i % TEXT_BYTES) + leb(1) for i in range(n)) + b"\0"
    lists = u32(len(lists) + 8) + struct.pack("<HBBI", 5, 8, 0, 0) + lists
    for tag in (TAG_SUBPROGRAM, TAG_INLINED):
        table = UNIT + abbrev(2, tag, 0, (AT_RANGES, FORM_SEC_OFFSET)) + b"\0"
        dies = UNIT_DIE + (leb(2) + u32(12)) * 100000 + b"\0"
        status, frames = function_of(table, dies, sections={".debug_rnglists": lists})
        check(frames[0][0] in ("sym", "??"), frames)
    table = abbrev(1, TAG_COMPILE_UNIT, 0, (AT_RANGES, FORM_SEC_OFFSET)) + b"\0"
    elf("a", {".debug_info": unit(leb(1) + u32(12)) * 20000, ".debug_abbrev": table,
              ".debug_rnglists": lists})
    ask("a", TEXT + 4)


def shared_lines():
    """Very many units with the same long line table."""
    table = abbrev(1, TAG_COMPILE_UNIT, 0, (AT_LOW_PC, FORM_ADDR), (AT_HIGH_PC, FORM_DATA4),
                   (AT_STMT_LIST, FORM_SEC_OFFSET)) + b"\0"
    rows = set_address(TEXT) + b"\x20" * 2000000 + END
    elf("a", {".debug_info": unit(UNIT_DIE + u32(0)) * 20000, ".debug_abbrev": table,
              ".debug_line": simple_line(rows)})
    ask("a", TEXT + 4)


def many_files():
    """A line table with very many files, of one long name."""
    start = bytes([1, 1, 1, 0xfb, 14, 13, 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1])
    table = abbrev(1, TAG_COMPILE_UNIT, 0, (AT_LOW_PC, FORM_ADDR), (AT_HIGH_PC, FORM_DATA4),
                   (AT_STMT_LIST, FORM_SEC_OFFSET)) + b"\0"
    head = start + bytes([1]) + leb(1) + leb(0x1f) + leb(1) + u32(0)
    head += bytes([1]) + leb(1) + leb(0x1f) + leb(1000000) + u32(0) * 1000000
    rows = set_address(TEXT) + b"".join(b"\x04" + leb(i) + row(1, 1) for i in range(20000)) + END
    for size in (1000000, 60000):
        elf("a", {".debug_info": unit(UNIT_DIE + u32(0)), ".debug_abbrev": table,
                  ".debug_line": line_table(head, rows),
                  ".debug_line_str": b"/" + b"x" * size + b"\0"})
        for _, frames in ask("a", *range(TEXT, TEXT + 20000, 7)):
            check(frames[0][1] == "??:0" or frames[0][1][0] == "/", frames[0][1])


def long_scopes():
    """Names within names: what is written is short, what is read is not."""
    table = UNIT + abbrev(2, TAG_NAMESPACE, 1, (AT_NAME, FORM_STRING))
    table += abbrev(3, TAG_SUBPROGRAM, 0, (AT_NAME, FORM_STRING), *FUNCTION) + b"\0"
    dies = UNIT_DIE + (leb(2) + b"scope\0") * 100000
    dies += b"".join(leb(3) + b"f%d\0" % i + u64(TEXT + i) + u32(1) for i in range(60000))
    elf("a", {".debug_info": unit(dies), ".debug_abbrev": table})
    got = ask("a", *range(TEXT, TEXT + 60000, 9))
    check(all(len(frames) == 1 for _, frames in got), got[0])


def long_names():
    """Names of a megabyte, mangled ones and others, for each of many functions."""
    for name in (b"x" * 1000000, b"x" * 60000,
                 b"_Z" + b"1a" * 500000, b"_ZN" + b"1a" * 3000 + b"E",
                 b"_Z1f" + b"P" * 8000 + b"i", b"_ZN1a1bE" + b"St4pairIS_S_E" * 600,
                 b"_RNv" + b"B_" * 4000, b"_RINvC1a1b" + b"pB2_" * 1000 + b"E"):
        table = UNIT + abbrev(2, TAG_SUBPROGRAM, 0, (0x6e, 0x0e), *FUNCTION) + b"\0"
        dies = UNIT_DIE + b"".join(leb(2) + u32(0) + u64(TEXT + i) + u32(1)
                                   for i in range(20000))
        elf("a", {".debug_info": unit(dies), ".debug_abbrev": table, ".debug_str": name + b"\0"})
        ask("a", *range(TEXT, TEXT + 20000, 9))


def many_symbols():
    """Symbols that all begin at one place, or all reach to the end."""
    elf("a", {}, [(f"s{i}", TEXT, i % 7) for i in range(100000)])
    check(len(ask("a", *range(TEXT, TEXT + 60000, 7))) > 1000)
    elf("a", {}, [(f"s{i}", TEXT + i % 60000, TEXT_BYTES) for i in range(100000)])
    check(len(ask("a", *range(TEXT, TEXT + 60000, 7))) > 1000)


def split_of_itself():
    """A unit whose .dwo is the file itself, and a .dwo that is a skeleton."""
    table = abbrev(1, 0x4a, 0, (AT_LOW_PC, FORM_ADDR), (AT_HIGH_PC, FORM_DATA4),
                   (AT_DWO_NAME, FORM_STRING)) + b"\0"
    head = struct.pack("<HBBIQ", 5, 4, 8, 0, 77)
    dies = UNIT_DIE + b"a\0"
    skeleton = u32(len(head) + len(dies)) + head + dies
    sections = {".debug_info": skeleton, ".debug_abbrev": table}
    elf("a", sections)
    check(ask("a", TEXT + 4)[0][1][0][0] == "sym")
    split = skeleton[:6] + b"\5" + skeleton[7:]
    elf("a", {**sections, ".debug_info.dwo": split, ".debug_abbrev.dwo": table})
    check(ask("a", TEXT + 4)[0][1][0][0] == "sym")


def splits_in_turn():
    """Two .dwo files alike, each with a reference to the same place of a second unit, which
    is written in another way."""
    def one(kind, number, dies, table=0):
        head = struct.pack("<HBBIQ", 5, kind, 8, table, number)
        return u32(len(head) + len(dies)) + head + dies

    skeletons = b""
    for i, (name, form) in enumerate(((b"first", ()), (b"other", ((AT_CALL_LINE, FORM_UDATA),)))):
        pcs = u64(TEXT + 0x100 * i) + u32(0x100)
        table = abbrev(1, TAG_COMPILE_UNIT, 1)
        referring = table + abbrev(2, TAG_SUBPROGRAM, 0, (AT_ABSTRACT_ORIGIN, FORM_REF_ADDR),
                                   *FUNCTION) + b"\0"
        named = table + abbrev(2, TAG_SUBPROGRAM, 0, *form, (AT_NAME, FORM_STRING)) + b"\0"
        n_first = len(one(5, 0, leb(1) + leb(2) + u32(0) + pcs + b"\0"))
        target = n_first + 4 + 16 + 1
        units = one(5, i + 1, leb(1) + leb(2) + u32(target) + pcs + b"\0")
        units += one(5, i + 11, leb(1) + leb(2) + leb(7) * len(form) + name + b"\0\0",
                     len(referring))
        elf(f"{i}.dwo", {".debug_info.dwo": units, ".debug_abbrev.dwo": referring + named})
        skeletons += one(4, i + 1, leb(1) + pcs + b"%d.dwo\0" % i)
    table = abbrev(1, 0x4a, 0, (AT_LOW_PC, FORM_ADDR), (AT_HIGH_PC, FORM_DATA4),
                   (AT_DWO_NAME, FORM_STRING)) + b"\0"
    elf("a", {".debug_info": skeletons, ".debug_abbrev": table})
    got = [frames[0][0] for _, frames in ask("a", TEXT + 4, TEXT + 0x104)]
    check(got == ["first", "other"], got)


def alternate_of_itself():
    """A dwz file that is the file itself: references go round."""
    table = UNIT + abbrev(2, TAG_SUBPROGRAM, 0, (AT_ABSTRACT_ORIGIN, FORM_REF_ALT), *FUNCTION)
    where = HEAD + len(UNIT_DIE)
    dies = UNIT_DIE + leb(2) + u32(where) + FUNCTION_PCS + b"\0"
    elf("a", {".debug_info": unit(dies), ".debug_abbrev": table + b"\0",
              ".gnu_debugaltlink": b"a\0" + b"\1" * 20})
    check(ask("a", TEXT + 4)[0][1][0][0] == "sym")


def bad_bases():
    """Indexes and bases beyond their sections."""
    for base in (0, 7, 8, 0xffffffff, 0xfffffff8):
        for index in (0, 1, 0xffffffff, (1 << 62), (1 << 64) - 1):
            table = abbrev(1, TAG_COMPILE_UNIT, 1, (AT_STR_OFFSETS_BASE, FORM_SEC_OFFSET),
                           (AT_ADDR_BASE, FORM_SEC_OFFSET), (AT_RNGLISTS_BASE, FORM_SEC_OFFSET),
                           *FUNCTION)
            table += abbrev(2, TAG_SUBPROGRAM, 0, (AT_NAME, FORM_STRX), (AT_LOW_PC, FORM_ADDRX),
                            (AT_HIGH_PC, FORM_ADDRX))
            table += abbrev(3, TAG_SUBPROGRAM, 0, (AT_RANGES, FORM_RNGLISTX)) + b"\0"
            dies = leb(1) + u32(base) * 3 + FUNCTION_PCS
            dies += leb(2) + leb(index) * 3 + leb(3) + leb(index) + b"\0"
            few = u32(8) + struct.pack("<HBB", 5, 8, 0) + u32(1)
            status, frames = function_of(table, dies, sections={
                ".debug_str_offsets": few, ".debug_addr": few, ".debug_rnglists": few})
            check(len(frames) == 1, frames)


def change_section(path, name, flags=None, size=None, hole=False):
    """Another header for a section of an elf(), the file as long as it says. @hole: it lies
    behind all else, in a hole."""
    with open(path, "r+b") as f:
        head = f.read()
        heads, = struct.unpack_from("<Q", head, 40)
        n, names = struct.unpack_from("<HH", head, 60)
        names, = struct.unpack_from("<Q", head, heads + 64 * names + 24)
        for at in range(heads, heads + 64 * n, 64):
            text = names + struct.unpack_from("<I", head, at)[0]
            if head[text:head.index(b"\0", text)] != name.encode():
                continue
            if flags is not None:
                f.seek(at + 8)
                f.write(u64(flags))
            if hole:
                f.seek(at + 24)
                f.write(u64(len(head)))
            if size is not None:
                f.seek(at + 32)
                f.write(u64(size))
                f.truncate(len(head) + size)


def no_room():
    """Sections that the address space has no room for, stored and packed: the symbol table
    answers. A size that no stream of zstd can have is a lie."""
    top = UNIT_DIE + leb(2) + u32(0) + FUNCTION_PCS + b"\0"
    table = UNIT + abbrev(2, TAG_SUBPROGRAM, 0, (AT_NAME, FORM_STRP), *FUNCTION) + b"\0"
    sections = {".debug_info": unit(top), ".debug_abbrev": table}
    elf("a", {**sections, ".debug_str": b"dwarf\0"})
    check(ask("a", TEXT + 4)[0] == ("ok", [("dwarf", "??:0")]))
    large = ("too_large", [("sym", "??:0")])
    change_section("a", ".debug_str", size=3 << 30, hole=True)
    check(MEMORY < 0 or ask("a", TEXT + 4)[0] == large, ask("a", TEXT + 4))
    packed = struct.pack("<IIQQ", 2, 0, 60 << 30, 1) + b"\x28\xb5\x2f\xfd"
    elf("a", {**sections, ".debug_str": packed})
    change_section("a", ".debug_str", flags=0x800)
    check(ask("a", TEXT + 4)[0] == ("malformed", [("sym", "??:0")]), ask("a", TEXT + 4))
    change_section("a", ".debug_str", size=3 << 30)
    check(MEMORY < 0 or ask("a", TEXT + 4)[0] == large, ask("a", TEXT + 4))


def many_sections():
    """Section headers by the ten thousand, of no known name."""
    elf("a", {f".debug_{i}": b"" for i in range(20000)})
    check(ask("a", TEXT + 4)[0][1][0][0] == "sym")


CASES = {
    "indirect_forms": indirect_forms, "index_forms": index_forms, "sequences": sequences,
    "languages": languages,
    "beyond_4gib": beyond_4gib, "origin_cycles": origin_cycles, "siblings": siblings,
    "deep_blocks": deep(TAG_BLOCK), "deep_inlined": deep(TAG_INLINED),
    "deep_functions": deep(TAG_SUBPROGRAM), "deep_namespaces": deep(TAG_NAMESPACE),
    "free_attributes": free_attributes, "many_tables": many_tables,
    "free_table_entries": free_table_entries, "shared_ranges": shared_ranges,
    "shared_lines": shared_lines, "many_files": many_files, "long_scopes": long_scopes,
    "long_names": long_names, "many_symbols": many_symbols,
    "split_of_itself": split_of_itself, "splits_in_turn": splits_in_turn,
    "alternate_of_itself": alternate_of_itself,
    "bad_bases": bad_bases, "no_room": no_room, "many_sections": many_sections,
}


def main():
    global TOOL
    TOOL = os.path.abspath(sys.argv[1])
    bad = 0
    for name in sys.argv[2:] or CASES:
        top = tempfile.mkdtemp(prefix="knell-crafted-")
        os.chdir(top)
        began = time.monotonic()
        try:
            CASES[name]()
            print("ok  ", name, f"{time.monotonic() - began:.1f} s" if os.environ.get("SHOW") else "",
                  flush=True)
        except AssertionError as e:
            print("FAIL", name, repr(e)[:600], flush=True)
            bad += 1
        except subprocess.TimeoutExpired:
            print("FAIL", name, "hangs", flush=True)
            bad += 1
        finally:
            os.chdir("/")
            shutil.rmtree(top)
    sys.exit(1 if bad else 0)


TOOL = None
main()
