"""What zsh makes of a word and a tab. usage: zsh.py FOLDER_OF_COMPLETIONS"""
import os, pty, re, select, sys, time

FOLDER, LINE = sys.argv[1], rb"\nis:(.*):\r"
CASES = [("knell threa", "threads"), ("knell show --as", "--as-sent"), ("knell list --signal SE", "SEGV"),
         ("knell list --state=h", "--state=hold"), ("knell debug --debugger l", "lldb"),
         ("knell completion z", "zsh")]

pid, fd = pty.fork()
if pid == 0:
    os.environ.update(TERM="dumb", HOME=FOLDER, ZDOTDIR=FOLDER, KNELL_SPOOL="/nonexistent")
    os.execvp("zsh", ["zsh", "-f"])


def read_until(pattern):
    out, until = b"", time.monotonic() + 30
    while not re.search(pattern, out) and time.monotonic() < until:
        if select.select([fd], [], [], 1)[0]:
            try:
                out += os.read(fd, 65536)
            except OSError:
                break
    return out


os.write(fd, b"unsetopt zle; fpath=(%s $fpath); autoload -Uz compinit; compinit -u -D; setopt zle; "
             b"echo rea''dy\n" % FOLDER.encode())
failed = b"ready" not in read_until(b"ready")
for begun, wanted in () if failed else CASES:
    os.write(fd, begun.encode() + b"\t")
    # The line as it stands goes to echo, so that what is read is not what was typed.
    os.write(fd, b"\x01print -r -- 'is:\x05:'\n")
    line = re.search(LINE, read_until(LINE))
    if not line or line[1].split()[-1] != wanted.encode():
        print("zsh: %r became %r, without %s" % (begun, line and line[1], wanted), file=sys.stderr)
        failed = True
os.write(fd, b"\x03exit\n")
os.close(fd)
os.waitpid(pid, 0)
sys.exit(failed)
