#!/bin/bash
# quickstart - from nothing to a finished selection on real data.
#
# Installs what is missing, builds, starts sewad on a directory, trains a small network into that directory,
# lets SeWA choose 10 of its last 100 checkpoints, and prints whether their average is better.
set -euo pipefail

usage() {
    cat <<'U'
usage: deploy/quickstart.sh [--seeds N] [--json] [--keep] [--directory DIR]

  --seeds N        train N networks (seeds 0 to N-1) and select for each; default 1
  --json           print the result as JSON instead of tables
  --keep           leave sewad running
  --directory DIR  where everything goes; default: build/quickstart in the repository
U
}

seeds=1
json=false
keep=false
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
directory=$here/build/quickstart
while [ $# -gt 0 ]; do
    case $1 in
    --seeds) seeds=${2:?"--seeds needs a number"}; shift ;;
    --json) json=true ;;
    --keep) keep=true ;;
    --directory) directory=${2:?"--directory needs a path"}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
    esac
    shift
done
case $seeds in '' | *[!0-9]* | 0) echo "quickstart: --seeds wants a number from 1 on, not '$seeds'" >&2; exit 2 ;; esac

# What it says while it works; stdout is for the result.
say() { echo "quickstart: $*" >&2; }

build=$here/build/release
bin=$build/bin

build_all() {
    "$here/deploy/dependencies.sh" >&2
    say "building in $build"
    cmake -S "$here" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DSEWA_TESTS=OFF >"$build.log" 2>&1 &&
        cmake --build "$build" >>"$build.log" 2>&1 || {
        tail -n 30 "$build.log" >&2
        say "building failed; all of it is in $build.log"
        exit 1
    }
}

# ---- the service ----

write_configuration() {
    cat >"$directory/sewad.conf" <<C
# written by deploy/quickstart.sh
listen = "127.0.0.1:0"
state_directory = "$directory/state"
settle_seconds = 1
scan_interval_seconds = 2
evaluator "digits" {
    command = {"$bin/sewa-mlp", "serve"}
    options = '{"data": "$here/deploy/quickstart/digits.safetensors"}'
}
C
    for ((seed = 0; seed < seeds; seed++)); do
        printf 'run "digits-%d" {\n    path = "%s/checkpoints/seed-%d"\n}\n' "$seed" "$directory" "$seed" \
            >>"$directory/sewad.conf"
        mkdir -p "$directory/checkpoints/seed-$seed"
    done
}

sewad_pid=
stop_sewad() {
    [ -n "$sewad_pid" ] || return 0
    kill "$sewad_pid" 2>/dev/null || true
    wait "$sewad_pid" 2>/dev/null || true
    sewad_pid=
}

start_sewad() {
    "$bin/sewad" --config "$directory/sewad.conf" 2>"$directory/sewad.log" &
    sewad_pid=$!
    trap stop_sewad EXIT
    for ((i = 0; i < 200; i++)); do
        [ -s "$directory/state/listen" ] && url=http://$(cat "$directory/state/listen") &&
            curl -sf -o /dev/null "$url/readyz" && break
        kill -0 "$sewad_pid" 2>/dev/null || { cat "$directory/sewad.log" >&2; exit 1; }
        sleep 0.1
    done
    say "sewad runs at $url and watches $directory/checkpoints"
}

api() { curl -sS --fail-with-body "$@"; }

# ---- one network ----

train() {
    "$bin/sewa-mlp" train --data "$here/deploy/quickstart/digits.safetensors" \
        --out "$directory/checkpoints/seed-$1" --layers 64,48,10 --activation relu \
        --batch 16 --rate 0.03 --momentum 0.9 --weight-decay 1e-4 --label-noise 0.3 \
        --burn-in 1500 --steps 1000 --every 10 --seed "$1" >&2
}

wait_for_checkpoints() {
    local n=0
    for ((i = 0; i < 600; i++)); do
        n=$(api "$url/api/v1/runs/digits-$1" | jq .checkpoints.complete)
        [ "$n" -ge 100 ] && return 0
        sleep 0.1
    done
    say "only $n of 100 checkpoints were admitted; see $directory/sewad.log"
    exit 1
}

select_checkpoints() {
    local job file
    printf -v file '%s/job-%05d.json' "$directory" "$1"
    job=$(api -X POST "$url/api/v1/jobs" -H 'Content-Type: application/json' -d "{
        \"run\": \"digits-$1\", \"method\": \"sewa\", \"window\": 100, \"select\": 10,
        \"evaluator\": \"digits\", \"seed\": $1}" | jq -r .id)
    say "seed $1: job $job chooses 10 of 100 checkpoints"
    while :; do
        api "$url/api/v1/jobs/$job?wait=60" | jq --argjson seed "$1" '. + {seed: $seed}' >"$file"
        case $(jq -r .state "$file") in
        succeeded) return 0 ;;
        failed | cancelled)
            say "the job ended: $(jq -c .reason "$file"); its log is in $directory/state/jobs"
            exit 1
            ;;
        esac
    done
}

# ---- what came of it ----

rows='def row(name; x; n): {method: name, selection_loss: x.loss.selection, report_loss: x.loss.report,
        report_accuracy: x.metrics.report.accuracy, checkpoints: n};
    [.result.baselines[] | row(.method; .; .checkpoints)] + [row("sewa"; .result; (.result.selected | length))]'

summary() {
    jq -s --arg directory "$directory" '
        def loss(m): .table[] | select(.method == m) | .report_loss;
        def below(m): map(select(loss("sewa") < loss(m))) | length;
        [.[] | . as $job | {seed, table: ('"$rows"'), selected_steps: [.result.selected[].step],
            verdict: .result.verdict, verdict_detail: .result.verdict_detail, cost: .result.cost,
            model: ($directory + "/state/artifacts/" + .id + "/model.safetensors")}] |
        {seeds: ., sewa_below: {last: below("last"), uniform: below("uniform"), lawa: below("lawa"),
            best: below("best")}, of: length}' "$directory"/job-*.json
}

print_one() {
    jq -r --argjson i "$1" '.seeds[$i] |
        "seed \(.seed)", "method checkpoints selection report accuracy",
        (.table[] | "\(.method) \(.checkpoints) \(.selection_loss) \(.report_loss) \(.report_accuracy)")' \
        "$directory/result.json" | awk '
        NR == 1 { print ""; print; next }
        NR == 2 { printf "  %-8s %12s %15s %12s %16s\n", "method", "checkpoints", "selection loss", "report loss", "report accuracy"; next }
        { printf "  %-8s %12d %15.4f %12.4f %15.1f%%\n", $1, $2, $3, $4, 100 * $5 }'
    # jq 1.7 hands on the digits of a number as they came, 0.41899999999999998, unless it has computed it
    jq -r --argjson i "$1" 'def ms: . * 1000 | round / 1000; .seeds[$i] |
        "  selected steps: \(.selected_steps | map(tostring) | join(" "))",
        "  verdict: \(.verdict): \(.verdict_detail)",
        "  cost: \(.cost.evaluations) evaluations, \(.cost.gradients) of them with gradient; \(.cost.seconds | ms) s, \(.cost.evaluator_seconds | ms) s of it in the evaluator; \(.cost.bytes_read) bytes read",
        "  model: \(.model)"' "$directory/result.json"
}

print_result() {
    local n
    n=$(jq .of "$directory/result.json")
    for ((i = 0; i < n; i++)); do print_one "$i"; done
    if [ "$n" -gt 1 ]; then
        jq -r '"", "report loss of SeWA is below last in \(.sewa_below.last), uniform in \(.sewa_below.uniform), LAWA in \(.sewa_below.lawa), the best single checkpoint in \(.sewa_below.best) of \(.of) seeds"' \
            "$directory/result.json"
    fi
    echo
    if $keep; then
        echo "sewad is running at $url (process $sewad_pid); stop it with: kill $sewad_pid"
    else
        echo "everything lies in $directory; start the service there with:"
        echo "  $bin/sewad --config $directory/sewad.conf"
    fi
    echo "for real: the README and deploy/sewad.conf.example say how"
}

mkdir -p "$here/build"
build_all
case $directory in /*) ;; *) directory=$PWD/$directory ;; esac
if [ -e "$directory" ] && [ ! -e "$directory/sewad.conf" ] && [ -n "$(ls -A "$directory")" ]; then
    say "'$directory' is not empty and not of an earlier quickstart; it is left alone"
    exit 1
fi
if [ -e "$directory/state/lock" ] && ! flock -n "$directory/state/lock" true; then
    say "a sewad of an earlier quickstart is running on '$directory'; stop it first"
    exit 1
fi
rm -rf "$directory"
mkdir -p "$directory"
write_configuration
start_sewad
for ((seed = 0; seed < seeds; seed++)); do
    say "seed $seed: training 2,500 steps, a checkpoint every 10 after the first 1,500"
    train "$seed"
    wait_for_checkpoints "$seed"
    select_checkpoints "$seed"
done
summary >"$directory/result.json"
if $json; then cat "$directory/result.json"; else print_result; fi
if $keep; then
    trap - EXIT
    disown "$sewad_pid"
fi
