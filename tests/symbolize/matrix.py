#!/usr/bin/env python3
"""One small program in every form that compilers, linkers and packagers give it.

usage: matrix.py KNELL_SYMBOLIZE [VARIANT...]

Each variant is built with the tools present and every address of outer() is asked for.
F: the outermost name is right everywhere; L: file:line is one of outer's, leaf2's or
leaf3's; I: the whole chain leaf3 < leaf2 < outer is seen with the lines of the calls.
Forms that hold the same code must give the same chain at each of its addresses. The
symbolizers that the machine has are asked as well: what one of them gets, knell gets.
What cannot be built here is named and passed over.
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile

SOURCE = """#include <stdlib.h>
static inline __attribute__((always_inline)) int leaf3(int x)
{
    return x * 3 + rand();
}
static inline __attribute__((always_inline)) int leaf2(int x)
{
    int y = leaf3(x);
    return y + leaf3(y);
}
__attribute__((noinline)) int outer(int x)
{
    return leaf2(x) + 1;
}
int main(int argc, char **argv)
{
    (void)argv;
    return outer(argc) & 1;
}
"""
CXX = """#include <cstdlib>
namespace deep { namespace {
struct box {
    static __attribute__((always_inline)) inline int leaf3(int x) { return x * 3 + rand(); }
    __attribute__((noinline)) int outer(int x)
    {
        auto leaf2 = [](int v) __attribute__((always_inline)) { return leaf3(v) + 1; };
        return leaf2(x) + leaf2(x + 1);
    }
};
} int go(int x) { box b; return b.outer(x); } }
int main(int argc, char **) { return deep::go(argc) & 1; }
"""


ODD_NAME = os.fsdecode(b"a\nb\xe9")  # no UTF-8


class Skip(Exception):
    pass


def run(*command, **kw):
    if not shutil.which(command[0]):
        raise Skip(f"no {command[0]}")
    p = subprocess.run(command, capture_output=True, text=True, **kw)
    if p.returncode:
        raise Skip(f"{command[0]}: {(p.stderr.strip() or p.stdout.strip()).splitlines()[-1:]}")
    return p.stdout


def cc(*flags, compiler="gcc", out="prog", base=("-O2",), source="prog.c"):
    run(compiler, *base, *flags, source, "-o", out)


def outer_range(path, name="outer"):
    for line in run("nm", "-S", path).splitlines():
        m = re.match(rf"(\w+) (\w+) [tT] (\S*{name}\S*)$", line)
        if m:
            return int(m[1], 16), int(m[2], 16)
    raise Skip("no symbol for outer")


def objcopy(*args):
    run("objcopy", *args)


def split_debug(where, crc=True, keep_id=True):
    objcopy("--only-keep-debug", "prog", where)
    run("strip", "-g", "prog")
    os.chdir(os.path.dirname(where) or ".")
    try:
        objcopy("--add-gnu-debuglink=" + os.path.basename(where),
                os.path.join(TOP, "prog"))
    finally:
        os.chdir(TOP)


def build_id(path="prog"):
    m = re.search(r"Build ID: (\w+)", run("readelf", "-n", path))
    if not m:
        raise Skip("no build-id")
    return m[1]


def build_id_dir(root):
    hexed = build_id()
    path = f"{root}/.build-id/{hexed[:2]}"
    os.makedirs(path, exist_ok=True)
    return f"{path}/{hexed[2:]}.debug"


# --- variants: each leaves "prog" in the current folder and returns extra options -------
def plain(*flags, **kw):
    return lambda: cc(*flags, **kw)


def no_aranges():
    cc("-g")
    objcopy("--remove-section=.debug_aranges", "prog")


def compressed(how):
    def build():
        cc("-g")
        objcopy("--compress-debug-sections=" + how, "prog")
        head = run("readelf", "-tW", "prog")
        if how != "zlib-gnu" and "COMPRESSED" not in head and "ZSTD" not in head:
            raise Skip("objcopy left the sections as they were")
    return build


def lto():
    with open("second.c", "w") as f:
        f.write("int second(int x) { return x + 1; }\n")
    run("gcc", "-O2", "-g", "-flto", "prog.c", "second.c", "-o", "prog")


def dwo(compiler, version):
    return lambda: cc("-g", f"-gdwarf-{version}", "-gsplit-dwarf", compiler=compiler)


def dwp(compiler, version, tool):
    def build():
        dwo(compiler, version)()
        run(tool, "-e", "prog", "-o", "prog.dwp")
        for name in os.listdir("."):
            if name.endswith(".dwo"):
                os.remove(name)
    return build


def dwo_stale():
    dwo("gcc", 5)()
    kept = outer_range("prog")
    names = [n for n in os.listdir(".") if n.endswith(".dwo")]
    with open("prog.c", "a") as f:
        f.write("int more(void) { return 2; }\n")
    run("gcc", "-O2", "-g", "-gdwarf-5", "-gsplit-dwarf", "-c", "prog.c", "-o", "other.o")
    made = [n for n in os.listdir(".") if n.endswith(".dwo") and n not in names]
    if not made:
        raise Skip("no second .dwo")
    os.replace(made[0], names[0])
    return None, kept


def dwo_missing():
    dwo("gcc", 5)()
    for name in os.listdir("."):
        if name.endswith(".dwo"):
            os.remove(name)


def make_socket(where):
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(os.path.dirname(where))  # names of sockets are short
        s.bind(os.path.basename(where))
        os.chdir(here)


def debuglink_beside():
    cc("-g")
    split_debug("prog.debug")


def debuglink_sub():
    cc("-g")
    os.makedirs(".debug")
    split_debug(".debug/prog.debug")


def debuglink_debug_dir():
    cc("-g")
    folder = "dbg" + TOP
    os.makedirs(folder)
    split_debug(f"{folder}/prog.debug")
    return ["--debug-dir", TOP + "/dbg"]


def debuglink_bad_crc():
    cc("-g", "-Wl,--build-id=none")
    split_debug("prog.debug")
    with open("prog.debug", "ab") as f:
        f.write(b"x")


def debuglink_other_id():
    cc("-g", "-DOTHER=1", "-Wl,--build-id=0x1111111111111111", out="prog")
    cc("-g", "-Wl,--build-id=0x2222222222222222", out="other")
    objcopy("--only-keep-debug", "other", "prog.debug")
    run("strip", "-g", "prog")
    objcopy("--add-gnu-debuglink=prog.debug", "prog")


def debuglink_dangling():
    cc("-g")
    split_debug("prog.debug")
    os.remove("prog.debug")


def debuglink_itself():
    cc("-g")
    shutil.copy("prog", "keep")
    run("strip", "-g", "prog")
    objcopy("--add-gnu-debuglink=prog", "prog")


def id_dir(planted=None):
    def build():
        cc("-g")
        where = build_id_dir("dbg")
        objcopy("--only-keep-debug", "prog", where)
        run("strip", "-g", "prog")
        if planted:
            os.remove(where)
            planted(where)
        return ["--debug-dir", TOP + "/dbg"]
    return build


def plant_other(where):
    with open("o.c", "w") as f:
        f.write("#include <stdlib.h>\nint wrong(int x) { return rand() * x; }\n"
                "int main(void) { return wrong(2); }\n")
    run("gcc", "-O2", "-g", "o.c", "-o", "o")
    objcopy("--only-keep-debug", "o", where)


def truncated(where):
    objcopy("--only-keep-debug", "prog", where)
    with open(where, "r+b") as f:
        f.truncate(os.path.getsize(where) // 2)


def eu_strip():
    cc("-g")
    kept = outer_range("prog")
    run("eu-strip", "-f", "prog.debug", "prog")
    return None, kept


def store():
    cc("-g")
    os.makedirs("store/" + build_id())
    objcopy("--only-keep-debug", "prog", f"store/{build_id()}/debuginfo")
    run("strip", "-g", "prog")
    return ["--store", TOP + "/store"]


def sysroot():
    cc("-g")
    kept = outer_range("prog")
    os.makedirs("root/opt")
    os.rename("prog", "root/opt/tool")
    return ["--sysroot", TOP + "/root"], kept, "/opt/tool"


def id_length(n):
    return lambda: cc("-g", "-Wl,--build-id=0x" + "a7" * n)


def dwz(present=True, right=True, version=4):
    def build():
        cc("-g", f"-gdwarf-{version}")
        cc("-g", f"-gdwarf-{version}", "-DSECOND=1", out="prog2")
        run("dwz", *["-5"] * (version == 5), "-m", "common.dwz", "prog", "prog2", "-L", "none",
            "-l", "none")
        if ("debug_sup" if version == 5 else "gnu_debugaltlink") not in run("readelf", "-SW",
                                                                            "prog"):
            raise Skip("dwz found nothing in common")
        if not present:
            os.remove("common.dwz")
        elif not right:
            shutil.copy("prog2", "common.dwz")  # another build-id
    return build


def dwz5_other_id():
    dwz(version=5)()
    with open("common.dwz", "r+b") as f:
        at = f.read().index(b"\5\0\1\0\x14") + 5  # the checksum of .debug_sup
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 1]))


def mini(broken=False):
    def build():
        cc("-g")
        kept = outer_range("prog")
        objcopy("-S", "--keep-symbol=outer", "prog", "mini")
        objcopy("--only-keep-debug", "prog", "mini0")
        objcopy("-S", "--remove-section=.debug_*", "--keep-symbol=outer", "mini0", "mini")
        run("xz", "-f", "mini")
        if broken:
            with open("mini.xz", "r+b") as f:
                f.seek(40)
                f.write(b"\xff" * 20)
        run("strip", "-s", "prog")
        objcopy("--add-section", ".gnu_debugdata=mini.xz", "prog")
        return None, kept
    return build


def symtab_only():
    cc()


def dynsym_only():
    cc("-rdynamic")
    kept = outer_range("prog")
    run("strip", "-s", "prog")
    return None, kept


def stripped():
    cc("-g")
    kept = outer_range("prog")
    run("strip", "-s", "prog")
    return None, kept


def cxx(compiler, *flags):
    def build():
        cc("-g", *flags, compiler=compiler, source="prog.cc")
        return None, outer_range("prog")
    return build


def rust(*flags):
    with open("prog.rs", "w") as f:
        f.write("""#[inline(always)] fn leaf3(x: i32) -> i32 { x * 3 + std::process::id() as i32 }
#[inline(always)] fn leaf2(x: i32) -> i32 { leaf3(x) + leaf3(x + 1) }
#[inline(never)] #[no_mangle] pub fn outer(x: i32) -> i32 { leaf2(x) + 1 }
fn main() { std::process::exit(outer(std::env::args().count() as i32) & 1) }
""")
    run("rustc", "-O", "-g", *flags, "prog.rs", "-o", "prog")


def fortran(*flags):
    def build():
        with open("prog.f90", "w") as f:
            f.write("""module work
  integer, volatile :: seed = 3
contains
  integer function leaf3(x)
    integer, intent(in) :: x
    leaf3 = x * 3 + seed
  end function
  integer function leaf2(x)
    integer, intent(in) :: x
    leaf2 = leaf3(x) + leaf3(x + 1)
  end function
  integer function outer(x)
    integer, intent(in) :: x
    outer = leaf2(x) + 1
  end function
end module
program main
  use work
  call exit(iand(outer(command_argument_count()), 1))
end program
""")
        run("gfortran", "-O2", "-g", *flags, "prog.f90", "-o", "prog")
    return build


def go():
    with open("prog.go", "w") as f:
        f.write("""package main

import "os"

var seed = 3

func leaf3(x int) int { return x*3 + seed }
func leaf2(x int) int { return leaf3(x) + leaf3(x+1) }

//go:noinline
func outer(x int) int { return leaf2(x) + 1 }
func main()           { os.Exit(outer(len(os.Args)) & 1) }
""")
    env = dict(os.environ, GOCACHE=TOP + "/go", GOPATH=TOP + "/path", GO111MODULE="off",
               GOTOOLCHAIN="local", GOPROXY="off", GOTELEMETRY="off", CGO_ENABLED="0")
    run("go", "build", "-o", "prog", "prog.go", env=env)


VARIANTS = {
    # name: (expected, builder)
    **{f"gcc_dwarf{v}": ("FLI", plain("-g", f"-gdwarf-{v}")) for v in (3, 4, 5)},
    **{f"clang_dwarf{v}": ("FLI", plain("-g", f"-gdwarf-{v}", compiler="clang"))
       for v in (3, 4, 5)},
    "gcc_dwarf2": ("FLI", plain("-g", "-gdwarf-2")),
    "gcc_dwarf2_strict": ("FL", plain("-g", "-gdwarf-2", "-gstrict-dwarf")),
    "clang_dwarf2": ("FL", plain("-g", "-gdwarf-2", compiler="clang")),
    "gcc_g1": ("FLI", plain("-g1")),
    "gcc_O0": ("FLI", plain("-g", base=("-O0",))),
    "clang_g1": ("FLI", plain("-g1", compiler="clang")),
    "clang_O0": ("FLI", plain("-g", base=("-O0",), compiler="clang")),
    "gcc_no_pie": ("FLI", plain("-g", "-no-pie")),
    "gcc_type_units4": ("FLI", plain("-g", "-gdwarf-4", "-fdebug-types-section")),
    "gcc_type_units5": ("FLI", plain("-g", "-gdwarf-5", "-fdebug-types-section")),
    "gcc_dwarf64": ("FLI", plain("-g", "-gdwarf64")),
    "gcc_dwarf64_v4": ("FLI", plain("-g", "-gdwarf-4", "-gdwarf64")),
    "gcc_function_sections": ("FLI", plain("-g", "-ffunction-sections", "-Wl,--gc-sections")),
    "gcc_no_aranges": ("FLI", no_aranges),
    "gcc_lto": ("FLI", lto),
    "gcc_m32": ("FLI", plain("-g", "-m32")),
    "gcc_static": ("FLI", plain("-g", "-static")),
    "gcc_text_4gib": ("FLI", plain("-g", "-pie", "-Wl,-Ttext-segment=0x200000000")),
    "clang_lld": ("FLI", plain("-g", "-fuse-ld=lld", compiler="clang")),
    "clang_lld_icf": ("FLI", plain("-g", "-fuse-ld=lld", "-Wl,--icf=all",
                                   "-ffunction-sections", compiler="clang")),
    "clang_lto": ("FLI", plain("-g", "-flto", "-fuse-ld=lld", compiler="clang")),
    "clang_dwarf64": ("FLI", plain("-g", "-gdwarf64", "-gdwarf-5", compiler="clang")),
    "clang_embed_source": ("FLI", plain("-g", "-gdwarf-5", "-gembed-source",
                                        compiler="clang")),
    "zlib": ("FLI", compressed("zlib")),
    "zdebug": ("FLI", compressed("zlib-gnu")),
    "zstd": ("FLI", compressed("zstd")),
    **{f"{c}_dwo{v}": ("FLI", dwo(c, v)) for c in ("gcc", "clang") for v in (4, 5)},
    "gcc_dwp4": ("FLI", dwp("gcc", 4, "dwp")),
    "clang_dwp4": ("FLI", dwp("clang", 4, "llvm-dwp")),
    "gcc_dwp5": ("FLI", dwp("gcc", 5, "llvm-dwp")),
    "clang_dwp5": ("FLI", dwp("clang", 5, "llvm-dwp")),
    "dwo_stale": ("FL", dwo_stale),
    "dwo_missing": ("FL", dwo_missing),
    "debuglink_beside": ("FLI", debuglink_beside),
    "debuglink_sub": ("FLI", debuglink_sub),
    "debuglink_debug_dir": ("FLI", debuglink_debug_dir),
    "debuglink_bad_crc": ("F", debuglink_bad_crc),
    "debuglink_other_id": ("F", debuglink_other_id),
    "debuglink_dangling": ("F", debuglink_dangling),
    "debuglink_itself": ("F", debuglink_itself),
    "eu_strip": ("FLI", eu_strip),
    "build_id_dir": ("FLI", id_dir()),
    "build_id_dir_other_program": ("F", id_dir(plant_other)),
    "build_id_dir_fifo": ("F", id_dir(os.mkfifo)),
    "build_id_dir_socket": ("F", id_dir(make_socket)),
    "build_id_dir_folder": ("F", id_dir(os.mkdir)),
    "build_id_dir_device": ("F", id_dir(lambda p: os.symlink("/dev/zero", p))),
    "build_id_dir_loop": ("F", id_dir(lambda p: os.symlink(p, p))),
    "build_id_dir_dangling": ("F", id_dir(lambda p: os.symlink("/nonexistent", p))),
    "build_id_dir_empty": ("F", id_dir(lambda p: open(p, "w").close())),
    "build_id_dir_sparse": ("F", id_dir(lambda p: (open(p, "w").close(),
                                                   os.truncate(p, 100 << 30)))),
    "build_id_dir_truncated": ("F", id_dir(truncated)),
    "store": ("FLI", store),
    "sysroot": ("FLI", sysroot),
    **{f"build_id_{n}": ("FLI", id_length(n)) for n in (8, 16, 20, 32)},
    "build_id_none": ("FLI", plain("-g", "-Wl,--build-id=none")),
    "dwz": ("FLI", dwz()),
    "dwz_missing": ("FL", dwz(present=False)),
    "dwz_other": ("FL", dwz(right=False)),
    "dwz5": ("FLI", dwz(version=5)),
    "dwz5_missing": ("FL", dwz(present=False, version=5)),
    "dwz5_other": ("FL", dwz(right=False, version=5)),
    "dwz5_other_id": ("FL", dwz5_other_id),
    "mini_debug_info": ("F", mini()),
    "mini_debug_info_broken": ("", mini(broken=True)),
    "symtab_only": ("F", symtab_only),
    "dynsym_only": ("F", dynsym_only),
    "stripped": ("", stripped),
    "cxx_gcc": ("FI", cxx("g++")),
    "cxx_clang": ("FI", cxx("clang++")),
    "cxx_gcc4": ("FI", cxx("g++", "-gdwarf-4")),
    "rust": ("FI", rust),
    "rust_v0": ("FI", lambda: rust("-C", "symbol-mangling-version=v0")),
    "fortran": ("FI", fortran()),
    "fortran_dwarf4": ("FI", fortran("-gdwarf-4")),
    "go": ("FI", go),  # its own compiler, linker and compressed sections
    "path_newline": ("FLI", lambda: (cc("-g"), os.rename("prog", ODD_NAME),
                                     (None, outer_range(ODD_NAME), ODD_NAME))[2]),
}

LINES = {"leaf3": {"4"}, "leaf2": {"8", "9"}, "outer": {"12", "13", "14"}}

# One compiler's code, with its debug information in many forms: these are gcc_dwarf5's
# answers to the letter.
SAME_CODE = {
    *(f"gcc_dwarf{v}" for v in (3, 4)), "gcc_g1", "gcc_type_units4", "gcc_type_units5",
    "gcc_dwarf64", "gcc_dwarf64_v4", "gcc_no_aranges", "zlib", "zdebug", "zstd", "gcc_dwo4",
    "gcc_dwo5", "gcc_dwp4", "gcc_dwp5", "debuglink_beside", "debuglink_sub",
    "debuglink_debug_dir", "eu_strip", "build_id_dir", "store", "sysroot",
    *(f"build_id_{n}" for n in (8, 16, 20, 32, "none")), "dwz", "dwz5", "path_newline"}

# Files that belong to another build: who answers from them is wrong.
REFUSED = {"debuglink_other_id", "debuglink_bad_crc", "build_id_dir_other_program", "dwo_stale",
           "dwz_other", "dwz5_other", "dwz5_other_id"}
PEERS = (["llvm-symbolizer", "--output-style=GNU", "-a", "-f", "-i", "-C", "-e"],
         ["addr2line", "-afiCe"], ["eu-addr2line", "-a", "-f", "-i", "-C", "-e"])


def by_address(text):
    groups = []
    for line in text.splitlines():
        if re.fullmatch(r"0x[0-9a-f]+", line):
            groups.append([])
        elif groups:
            groups[-1].append(line)
    return [list(zip(g[0::2], g[1::2])) for g in groups]


def ask(tool, path, start, size, options):
    text = "".join(f"{a:#x}\n" for a in range(start, start + size))
    p = subprocess.run([tool, *options, "-afiCe", path], input=text, text=True,
                       capture_output=True, errors="surrogateescape", timeout=60)
    if p.returncode:
        return f"exit {p.returncode}: {p.stderr.strip()}"
    return by_address(p.stdout)


def ask_peers(path, start, size, simple):
    """What of F, L, I each of the others gets, by its name."""
    text = "".join(f"{a:#x}\n" for a in range(start, start + size))
    env = {k: v for k, v in os.environ.items() if k != "DEBUGINFOD_URLS"}
    got = {}
    for command in PEERS:
        if not shutil.which(command[0]):
            continue
        try:
            p = subprocess.run([*command, path], input=text, text=True, capture_output=True,
                               errors="surrogateescape", env=env, timeout=10)
        except subprocess.TimeoutExpired:
            continue  # some wait at a FIFO for ever
        without_columns = re.sub(r"(:\d+):\d+$", r"\1", p.stdout, flags=re.M)
        answers = by_address(without_columns)
        if len(answers) == size and all(answers):
            # Of other languages' files the letter L means little.
            got[command[0]] = judge(answers, simple)[0] - (set() if simple else {"L"})
    return got


def in_common(answers):
    """What forms of the same code have in common: names, base names of files, lines."""
    return [[(name, os.path.basename(place)) for name, place in frames] for frames in answers]


def name_of(text):
    if "operator()" in text:
        return "leaf2"  # a lambda; its scope is outer
    m = re.search(r"leaf3|outer|wrong|leaf2", text)
    return m[0] if m else text


def judge(answers, simple):
    """What of F, L, I the answers give; and what is wrong in them."""
    wrong, have = [], set("FL")
    for frames in answers:
        names = [name_of(f) for f, _ in frames]
        if names[-1] != "outer":
            have.discard("F")
            if names[-1] != "??":
                wrong.append(frames)
        places = [re.match(r"(.*):(\d+|\?)", p) for _, p in frames]
        line = places[0][2]
        if not places[0][1].endswith("prog.c") or line in ("?", "0"):
            # rand() and operators come from headers; line 0 belongs to nothing.
            if line not in ("?", "0") or places[0][1] == "??":
                have.discard("L")
        elif simple and line not in LINES["leaf3"] | LINES["leaf2"] | LINES["outer"]:
            wrong.append(frames)
        if names == ["leaf3", "leaf2", "outer"]:
            if not simple or (places[1][2] in LINES["leaf2"] and
                              places[2][2] in LINES["outer"]):
                have.add("I")
            elif "0" not in (places[1][2], places[2][2]) and "?" not in (
                    places[1][2], places[2][2]):
                wrong.append(frames)
    return have, wrong


def letters(have):
    return "".join(c for c in "FLI" if c in have) or "-"


def reference(tool):
    """The answers that SAME_CODE is held against; built once, in a folder of its own."""
    if not REFERENCE:
        here = os.getcwd()
        with tempfile.TemporaryDirectory(prefix="knell-matrix-") as folder:
            os.chdir(folder)
            with open("prog.c", "w") as f:
                f.write(SOURCE)
            cc("-g", "-gdwarf-5")
            REFERENCE.extend(in_common(ask(tool, "prog", *outer_range("prog"), [])))
            os.chdir(here)
    return REFERENCE


REFERENCE = []


def test(tool, name, expected, build):
    global TOP
    TOP = tempfile.mkdtemp(prefix="knell-matrix-")
    os.chdir(TOP)
    with open("prog.c", "w") as f:
        f.write(SOURCE)
    with open("prog.cc", "w") as f:
        f.write(CXX)
    try:
        made = build()
        if isinstance(made, tuple):
            options, (start, size), path = (*made, "prog")[:3]
        else:
            options, path = made, "prog"
            start, size = outer_range("prog")
        answers = ask(tool, path, start, size, options or [])
        if isinstance(answers, str):
            return f"FAIL {name}: {answers}"
        cache = (options or []) + ["--cache", f"{TOP}/cache"]
        for when in ("filled", "used"):
            if ask(tool, path, start, size, cache) != answers:
                return f"FAIL {name}: other answers when the cache is {when}"
        simple = not name.startswith(("cxx", "rust", "fortran", "go"))
        have, wrong = judge(answers, simple)
        missing = set(expected) - have
        if missing or wrong:
            return f"FAIL {name}: wants {expected}, missing {missing}, wrong {wrong[:2]}, " \
                   f"first {answers[:2]}"
        if name in SAME_CODE and in_common(answers) != reference(tool):
            return f"FAIL {name}: not what gcc_dwarf5 gives"
        peers = {} if name in REFUSED else ask_peers(path, start, size, simple)
        ahead = {peer: got - have for peer, got in peers.items() if got - have}
        if ahead:
            return f"FAIL {name}: has {have}, others have more: {ahead}"
        return f"ok   {name}: {letters(have)}" + "".join(
            f", {peer} {letters(got)}" for peer, got in peers.items())
    except Skip as e:
        return f"skip {name}: {e}"
    except subprocess.TimeoutExpired:
        return f"FAIL {name}: hangs"
    finally:
        os.chdir("/")
        shutil.rmtree(TOP)


def main():
    tool = os.path.abspath(sys.argv[1])
    bad = 0
    for name, (expected, build) in VARIANTS.items():
        if len(sys.argv) > 2 and name not in sys.argv[2:]:
            continue
        line = test(tool, name, expected, build)
        print(line, flush=True)
        bad += line.startswith("FAIL")
    sys.exit(1 if bad else 0)


main()
