#!/bin/sh
# What arrives, looked at by others than knell.
# usage: interop.sh envelopes|otlp|spotlight SOURCE_DIR TELLER UPLOADER [INGEST]
#
# envelopes  every kind of envelope through envelope_check.py, and through another
#            validator when KNELL_VALIDATOR names a command that takes files
# otlp       what a collector gets that OpenTelemetry's own variables name
# spotlight  to a real Spotlight server (npm @spotlightjs/spotlight, hono 4.12):
#            "spotlight" in PATH, or KNELL_SPOTLIGHT=…/@spotlightjs/spotlight/dist/run.js
# Exit status 77: what the test needs is not here.
#
# By hand, crashes, errors, transactions, sessions and logs of these programs were also sent
# to Bugsink 2.6.1 (events shown with names and lines; with VALIDATE_ON_DIGEST=strict when
# event.frame_hints=no; it limits transactions and sessions for a day at a time) and to the
# OpenTelemetry Collector's own decoder (go.opentelemetry.io/collector/pdata): all was taken.
set -eu
kind=$1 source=$2 teller=$3 uploader=$4
command -v python3 >/dev/null || { echo "skip: no python3"; exit 77; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/knell-interop.XXXXXX")
server=
trap '[ -z "$server" ] || kill $server; rm -rf "$dir"' EXIT
n=0

# go WHAT HOW DESTINATION [OPTION]...: a process that says and dies, and one pass
go() {
    n=$((n + 1))
    what=$1 how=$2 to=$3
    shift 3
    env -i SENTRY_TRACES_SAMPLE_RATE=1 KNELL_SESSIONS=1 KNELL_SPOOL="$dir/spool$n" KNELL_DSN= \
        "$teller" "$what" "$how" "$source" >"$dir/said" 2>&1 || :
    env -i HOME=/nonexistent KNELL_CONFIG=/dev/null KNELL_DSN="$to" "$uploader" --all \
        --spool "$dir/spool$n" "$@"
}

every_kind() {
    to=file://$dir/out
    mkdir -p "$dir/out"
    for what in scope errors spans files; do
        go $what segv "$to"
        go $what stop "$to"
    done
    go scope 9 "$to" # an obituary needs a second life
    env -i KNELL_SPOOL="$dir/spool$n" KNELL_DSN= "$teller" scope stop >"$dir/said" 2>&1 || :
    go hang stop "$to"
    go fork-cover segv "$to"
    go scope segv "$to" -s upload.minidump=attach
    go scope segv "$to" -s upload.minidump=server
    go scope segv "$to" -s event.send_default_pii=yes -s event.send_cmdline=yes \
        -s event.scrub=no -s event.context_lines=3 -s event.send_fingerprint=yes
    go scope segv "$to" -s event.max_bytes=12000 -s event.frame_hints=no
}

case $kind in
envelopes)
    every_kind
    python3 "$source/tests/e2e/envelope_check.py" "$dir"/out/* >"$dir/result" || {
        cat "$dir/result"
        exit 1
    }
    cat "$dir/result"
    grep -q "kinds: attachment event log session transaction" "$dir/result"
    [ -z "${KNELL_VALIDATOR-}" ] || $KNELL_VALIDATOR "$dir"/out/*
    # The checker itself can fail.
    file=$(grep -l '"type":"event"' "$dir"/out/* | head -1)
    sed 's/"platform":"native"/"platform":"bative"/' "$file" >"$dir/broken"
    ! python3 "$source/tests/e2e/envelope_check.py" "$dir/broken" >"$dir/result"
    ;;
otlp)
    mkdir "$dir/in"
    "$5" -s "413,200/body={},400,200/body={},200/body={}" -o "$dir/in" >"$dir/port" &
    server=$!
    until [ -s "$dir/port" ]; do sleep 0.05; done
    to=http://127.0.0.1:$(cat "$dir/port")
    env -i KNELL_SPOOL="$dir/spool" KNELL_START_UPLOADER=0 OTEL_SERVICE_NAME=basket \
        OTEL_RESOURCE_ATTRIBUTES="service.name=no,service.version=7.1,k8s.pod.name=pod%20one,host.name=secrethost,process.owner=secretuser,db.password=hunter2secret" \
        "$teller" scope segv >"$dir/said" 2>&1 || :
    # The uploader's own surroundings say nothing of the dead process.
    env -i HOME=/nonexistent KNELL_CONFIG=/dev/null OTEL_SERVICE_NAME=uploader \
        OTEL_RESOURCE_ATTRIBUTES=service.version=0 OTEL_EXPORTER_OTLP_ENDPOINT="$to" \
        OTEL_EXPORTER_OTLP_HEADERS="x-tenant=a%20b,authorization=Bearer%20t" \
        OTEL_EXPORTER_OTLP_COMPRESSION=gzip "$uploader" --all --spool "$dir/spool"
    python3 - "$dir/in" <<'END'
import json, sys
head = open(sys.argv[1] + "/000002.head", newline="").read()
assert head.startswith("POST /v1/logs HTTP/1.1\r\n"), head
for line in ("x-tenant: a b", "authorization: Bearer t", "Content-Type: application/json",
             "Content-Encoding: gzip"):
    assert "\r\n" + line + "\r\n" in head, (line, head)
text = open(sys.argv[1] + "/000002.body").read()
assert "secret" not in text
body = json.loads(text)
(resource,) = body["resourceLogs"]
attributes = [(a["key"], *a["value"].values()) for a in resource["resource"]["attributes"]]
assert len(dict(a[:2] for a in attributes)) == len(attributes), attributes
have = dict(attributes)
assert have["service.name"] == "basket" and have["service.version"] == "7.1", have
assert have["k8s.pod.name"] == "pod one" and have["telemetry.sdk.name"] == "knell", have
(record,) = resource["scopeLogs"][0]["logRecords"]
assert record["eventName"] == "app.crash" and record["severityText"] == "FATAL", record
assert record["body"]["stringValue"].startswith("SIGSEGV in "), record["body"]
names = {a["key"] for a in record["attributes"]}
assert {"exception.type", "exception.stacktrace", "app.crash.id", "thread.id"} <= names, names
END
    ls "$dir"/spool/sent | grep -q . || { ls -R "$dir/spool"; exit 1; }
    ;;
spotlight)
    command -v node >/dev/null || { echo "skip: no node"; exit 77; }
    program=${KNELL_SPOTLIGHT:-$(command -v spotlight || :)}
    [ -n "$program" ] || { echo "skip: no spotlight"; exit 77; }
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    # By itself it listens on every interface.
    cat >"$dir/loopback.cjs" <<'END'
const net = require('net'), listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...a) {
    if (typeof a[0] === 'number') a[0] = { port: a[0] };
    if (a[0] && typeof a[0] === 'object' && 'port' in a[0]) a[0].host = '127.0.0.1';
    return listen.apply(this, a);
};
END
    NODE_OPTIONS="--require $dir/loopback.cjs" node "$program" --port "$port" >"$dir/server" 2>&1 &
    server=$!
    i=0
    until python3 -c "import socket; socket.create_connection(('127.0.0.1', $port))" 2>/dev/null; do
        i=$((i + 1))
        [ $i -lt 300 ] || { cat "$dir/server"; exit 1; }
        sleep 0.1
    done
    to=http://key@127.0.0.1:$port/1
    go scope segv "$to"
    go errors stop "$to" -s upload.compression=gzip
    go spans stop "$to"
    python3 - "$port" <<'END'
import http.client, sys
c = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=20)
c.request("GET", "/stream?base64=1", headers={"Accept": "text/event-stream"})
r, text = c.getresponse(), b""
want = [b'"SIGSEGV"', b'"function":"die"', b'"type":"transaction"', b"GET /users/{id}", b'"type":"log"',
        b'"QueryFailed"', b"listening on port 80"]
try:
    while any(w not in text for w in want):
        text += r.read1(65536)
except OSError as e:
    print(e)
missing = [w for w in want if w not in text]
print("Spotlight lacks:" if missing else "Spotlight has all of it", *missing)
sys.exit(bool(missing))
END
    ;;
esac
