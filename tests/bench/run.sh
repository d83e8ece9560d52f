#!/bin/bash
# run.sh - every benchmark, one after the other, as ratios of things measured side by side in one run.
#
#   tests/bench/run.sh [--quick]
#
# These machines are shared and noisy: quote ratios, and look at more than one run.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
build=$here/build/bench
seconds=5
engine=()
header=()
publish=()
cold=()
case ${1:-} in
'') ;;
--quick)
    seconds=1
    engine=(--quick)
    header=(--tensors 1000 --torch-tensors 100)
    publish=(--quick)
    cold=(--files 3 --megabytes 5 --rounds 1)
    ;;
*) sed -n '2,6p' "$0" >&2; exit 2 ;;
esac

"$here/deploy/dependencies.sh" --test
command -v wrk >/dev/null || "$here/deploy/dependencies.sh" --bench
mkdir -p "$here/build"
cmake -S "$here" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release >"$build.log" 2>&1 &&
    cmake --build "$build" >>"$build.log" 2>&1 || { tail -n 30 "$build.log"; exit 1; }
echo "== engine: times one streaming read of the same candidates by the same threads =="
"$build/bin/bench_engine" "${engine[@]}"
echo
echo "== headers: times a loop that looks up the class of each byte =="
"$here/tests/bench/header/header.py" "$build/bin/bench_header" "${header[@]}"
echo
echo "== publishing: a plain PyTorch loop over the same numbers =="
"$here/tests/bench/publish/publish.py" "$build/bin/bench_publish" "${publish[@]}" || [ $? = 77 ]
echo
echo "== files that are not in the page cache: dd iflag=direct over the same ones =="
"$here/tests/bench/publish/cold.py" "$build/bin/bench_publish" "${cold[@]}" || [ $? = 77 ]
if [ "${1:-}" != --quick ]; then
    echo
    echo "== a model that does not fit =="
    "$here/tests/bench/large/large.py" "$build/bin"
fi
echo
echo "== service =="
"$here/tests/bench/service/service.sh" "$build" "$seconds"
