#!/usr/bin/env bash
# HTTP GET of one cached document and of a list of 50, keep-alive, beside a handler that returns
# the same bytes from memory. Needs wrk, curl and python3; takes about a minute after the build.
#
#   crates/orlop-bench/http.sh [SECONDS]     seconds of each of the ten runs, 5 by default
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds="${1:-5}"
# The profile of the benchmarks: release, with the names that a profiler shows.
cargo build --profile bench -p pdeck -p orlop-bench --bins
target="${CARGO_TARGET_DIR:-target}/release"
work="$(mktemp -d)"
ours='' base=''
finish() {
    [ -z "$ours" ] || kill "$ours" 2>/dev/null || true
    [ -z "$base" ] || kill "$base" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

token=orlop-bench-token-of-thirty-two-characters
auth="Authorization: Bearer $token"
PDECK_ADMIN_TOKEN="$token" "$target/pdeck" serve --store "$work/store" --listen 127.0.0.1:0 \
    --ready-file "$work/ready" >"$work/log" 2>&1 &
ours=$!
for _ in $(seq 300); do
    [ -s "$work/ready" ] && break
    kill -0 "$ours" || { cat "$work/log"; exit 1; }
    sleep 0.1
done
address="$(python3 -c 'import json,sys; print(json.load(open(sys.argv[1]))["address"])' "$work/ready")"
address="${address#http://}"
root="http://$address/api/v1"

# 20 000 tasks of 100 users.
python3 - >"$work/tasks" <<'PY'
import json
words = "caulk the seams of the orlop and count the casks; " * 4
for n in range(20000):
    print(json.dumps({"_id": {"$oid": "%024x" % n}, "title": "task number %d" % n,
        "description": words, "userId": {"$oid": "%024x" % (n % 100)}, "priority": float(n % 10),
        "dueDate": {"$date": "2026-01-01T00:00:00Z"}, "status": "TODO", "tags": ["deck", "stores"]}))
PY
curl -sf -o /dev/null -H "$auth" -H 'Content-Type: application/x-ndjson' \
    --data-binary "@$work/tasks" "$root/collections/tasks/documents"

document="/api/v1/collections/tasks/documents/000000000000000000000007"
filter='%7B%22userId%22%3A%7B%22%24oid%22%3A%22000000000000000000000007%22%7D%7D'
list="/api/v1/collections/tasks/documents?filter=$filter&sort=%7B%22priority%22%3A-1%7D&limit=50"
# The second answer is the cached one; its headers are the baseline's too.
for name in document list; do
    for _ in 1 2; do
        curl -sf -H "$auth" -D "$work/$name.headers" -o "$work/$name" "http://$address${!name}" || {
            echo "no answer to GET ${!name}"; rm -f "$work/$name"; }
    done
done

routes=()
[ ! -e "$work/document" ] || routes+=("$document=$work/document")
[ ! -e "$work/list" ] || routes+=("${list%%\?*}=$work/list")
"$target/http-baseline" 127.0.0.1:0 "${routes[@]}" >"$work/baseline" &
base=$!
for _ in $(seq 100); do [ -s "$work/baseline" ] && break; sleep 0.1; done
baseline="$(cat "$work/baseline")"

# Requests per second of one run.
rate() {
    wrk -t1 -c32 -d"${seconds}s" -H "$auth" "http://$1$2" | awk '/Requests\/sec/ { print $2 }'
}
uptime
for name in document list; do
    [ -e "$work/$name" ] || continue
    rate "$address" "${!name}" >/dev/null
    for _ in 1 2 3 4 5; do
        echo "$(rate "$baseline" "${!name}") $(rate "$address" "${!name}")"
    done >"$work/rates"
    python3 - "$name" "$work/$name" "$work/rates" <<'PY'
import os, statistics, sys
name, body, rates = sys.argv[1:]
pairs = [tuple(map(float, line.split())) for line in open(rates)]
ratio = statistics.median(ours / base for base, ours in pairs)
base, ours = (statistics.median(column) for column in zip(*pairs))
verdict = "reached" if ratio >= 0.8 else "**missed**"
print(f"| GET of one {name} ({os.path.getsize(body)} bytes) | {ours:.0f}/s | {base:.0f}/s (axum) "
      f"| {ratio:.2f} | >= 0.8 x its rate | {verdict} |")
PY
done
uptime
