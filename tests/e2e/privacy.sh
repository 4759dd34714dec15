#!/bin/sh
# Nothing that was gathered unasked leaves with send_default_pii off: tokens planted in every
# place are looked for in all bytes that were sent, an attached minidump among them.
# usage: privacy.sh PRIVATE UPLOADER
set -eu
program=$1 uploader=$2
command -v python3 >/dev/null || { echo "skip: no python3"; exit 77; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/knell-privacy.XXXXXX")
home=$dir
trap 'rm -rf "$dir" "$home"' EXIT
# Where homes are can be written to by root only; elsewhere the path is none of a home.
if mkdir "/home/PlantedHome$$" 2>/dev/null; then
    home=/home/PlantedHome$$
else
    echo "home directories are not tried: /home cannot be written to"
fi
cp "$program" "$home/private"
# A host name of its own needs a namespace.
host=
unshare -u true 2>/dev/null && host="hostname PlantedHost &&"
[ -n "$host" ] || echo "the host's name is the real one: no namespaces here"

# go OUT [OPTION]...
go() {
    out=$1
    shift
    printf '%s\n%s\n' PlantedOnStack \
        "password=PlantedAssert in /home/PlantedAssertHome/x" |
        env -i PATH="$PATH" HOME="$home" USER=PlantedUser LOGNAME=PlantedUser \
            PLANTED=PlantedEnvironment KNELL_SPOOL="$dir/$out.spool" KNELL_DSN= \
            ${host:+unshare -u} sh -c "$host exec \"\$0\" --password=PlantedArgument" \
            "$home/private" 2>"$dir/said" || :
    env -i PATH="$PATH" HOME="$home" PLANTED=PlantedUploader KNELL_CONFIG=/dev/null \
        KNELL_DSN="file://$dir/$out" "$uploader" --all --spool "$dir/$out.spool" "$@"
}
go strict -s upload.minidump=attach
go event
go open -s upload.minidump=attach -s event.send_default_pii=yes -s event.send_cmdline=yes \
    -s event.scrub=no
python3 - "$dir" <<'END'
import glob, os, socket, sys

def sent(kind):
    (name,) = glob.glob(f"{sys.argv[1]}/{kind}/*")
    with open(name, "rb") as f:
        return f.read()

def has(data, word):
    return word.encode() in data or word.encode("utf-16-le") in data or word.encode()[::-1] in data

faults = []
strict, event, loose = sent("strict"), sent("event"), sent("open")
gathered = ["PlantedOnStack", "PlantedAssert", "PlantedHome", "PlantedAssertHome", "PlantedUser",
            "PlantedEnvironment", "PlantedArgument", "PlantedHost", "PlantedUploader"]
if len(socket.gethostname()) > 5:
    gathered.append(socket.gethostname())
for word in gathered:
    faults += [f"{word} is in {n}" for n, d in (("strict", strict), ("event", event)) if has(d, word)]
for word in ("password=UserSetValue", "token=UserSetCrumb in /home/UserSetHome/x", "secret: UserSetBytes"):
    faults += [f"{word} was changed in {n}" for n, d in (("strict", strict), ("event", event))
               if word.encode() not in d]
# The search finds what is there: with all doors open it is.
for word in ("PlantedOnStack", "PlantedAssert", "PlantedAssertHome"):
    faults += [] if has(loose, word) else [f"{word} is not even in what hides nothing"]
faults += [] if b"MDMP" in strict else ["no minidump was sent"]
print("\n".join(faults or ["nothing planted was sent"]))
sys.exit(bool(faults))
END
