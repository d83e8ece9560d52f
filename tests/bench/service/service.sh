#!/bin/bash
# service.sh - what the service adds: requests per second beside the bare HTTP library, and the wall time of a
# job beside the evaluator's own seconds.
#
#   tests/bench/service/service.sh BUILD-DIRECTORY [SECONDS]
#
# Prints one line per figure: name, value, and what it is measured against. Needs wrk, curl and jq.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
bin=$(cd "${1:?build directory}" && pwd)/bin
seconds=${2:-5}
for tool in wrk curl jq; do
    command -v $tool >/dev/null || { echo "skipped: $tool is not installed"; exit 77; }
done

dir=$(mktemp -d)
pids=()
trap 'for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done; wait; rm -rf "$dir"' EXIT

cat >"$dir/sewad.conf" <<C
listen = "127.0.0.1:0"
state_directory = "$dir/state"
settle_seconds = 0
scan_interval_seconds = 1
run "bench" { path = "$dir/checkpoints"
}
evaluator "sleepy" {
    command = {"$bin/bench_sleepy"}
    options = '{"milliseconds": 50}'
}
C
mkdir "$dir/checkpoints"
"$bin/sewa-mlp" train --data "$here/deploy/quickstart/digits.safetensors" --out "$dir/checkpoints" \
    --layers 64,48,10 --steps 200 --every 10 >/dev/null
"$bin/sewad" --config "$dir/sewad.conf" 2>"$dir/log" &
pids+=($!)
for ((i = 0; i < 300; i++)); do
    url=http://$(cat "$dir/state/listen" 2>/dev/null || true)
    n=$(curl -s "$url/api/v1/runs/bench" | jq '.checkpoints.complete // 0' 2>/dev/null || echo 0)
    [ "${n:-0}" -ge 20 ] && break
    sleep 0.1
done

# a job whose evaluations sleep 50 ms: how much longer does it take than they do?
job=$(curl -s -X POST "$url/api/v1/jobs" -H 'Content-Type: application/json' -d '{"run": "bench",
    "method": "sewa", "select": 5, "evaluator": "sleepy", "params": {"iterations": 20, "polish": 20},
    "baselines": ["last", "uniform"]}' | jq -r .id)
while [ "$(curl -s "$url/api/v1/jobs/$job?wait=60" | jq -r .state)" != succeeded ]; do sleep 0.1; done
curl -s "$url/api/v1/jobs/$job" >"$dir/job.json"
jq -r '.result.cost | "job_over_evaluator \(.seconds / .evaluator_seconds * 1000 | round / 1000) (\(.seconds) s of wall time, \(.evaluator_seconds * 1000 | round / 1000) s of \(.evaluations) evaluations of 50 ms; goal at most 1.05)"' "$dir/job.json"

# the same bytes from both servers, in turn, so that both meet the same machine
"$bin/bench_bare" "$dir/job.json" >"$dir/port" &
pids+=($!)
while [ ! -s "$dir/port" ]; do sleep 0.05; done
bare=http://127.0.0.1:$(cat "$dir/port")/
rate() { wrk -t 1 -c 16 -d "$seconds" "$1" | awk '/Requests\/sec/ { print $2 }'; }
for round in 1 2 3; do
    b=$(rate "$bare")
    s=$(rate "$url/api/v1/jobs/$job")
    awk -v b="$b" -v s="$s" -v r=$round \
        'BEGIN { printf "get_job_over_bare %.3f (round %d: %d and %d requests/s; goal at least 0.25)\n", s / b, r, s, b }'
done
