#!/bin/bash
# run.sh - install what is missing, build, and run every test.
#
#   tests/run.sh            everything: release and two sanitizer builds
#   tests/run.sh --quick    the release build only
#   tests/run.sh --long     also what takes long: more kills, longer fuzzing
#
# The last line is "N passed, N failed". As root or through sudo, from any directory, as often as you like.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
quick=false
export SEWA_TEST_LONG=0
for argument in "$@"; do
    case $argument in
    --quick) quick=true ;;
    --long) SEWA_TEST_LONG=1 ;;
    *) sed -n '2,8p' "$0" >&2; exit 2 ;;
    esac
done

jobs=$(nproc)
passed=0
failed=0
say() { echo "tests: $*"; }

give_up() { # what failed before any test could run counts as one failure
    say "$*"
    echo "$passed passed, $((failed + 1)) failed"
    exit 1
}

# A place on this machine with room and without anybody else's rules (noexec, no links).
export TMPDIR=${TMPDIR:-/tmp}

build() { # NAME CMAKE-ARGUMENT...
    local name=$1
    shift
    say "building in build/$name"
    cmake -S "$here" -B "$here/build/$name" -G Ninja -DSEWA_FAILPOINTS=ON "$@" >"$here/build/$name.log" 2>&1 &&
        cmake --build "$here/build/$name" -j "$jobs" >>"$here/build/$name.log" 2>&1 || {
        tail -n 40 "$here/build/$name.log"
        give_up "building '$name' failed; all of it is in build/$name.log"
    }
}

run() { # NAME CTEST-ARGUMENT...
    local name=$1 log counts
    shift
    log=$here/build/$name.tests.log
    say "running the tests of build/$name"
    (cd "$here/build/$name" && ctest -j "$jobs" --output-on-failure "$@") 2>&1 | tee "$log" |
        grep -avE '^ +Start |Passed +[0-9.]+ sec$'
    counts=$(LC_ALL=C sed -nE 's/.* ([0-9]+) tests? failed out of ([0-9]+)$/\1 \2/p' "$log" | tail -n 1)
    [ -n "$counts" ] || give_up "the tests of '$name' did not run; see build/$name.tests.log"
    failed=$((failed + ${counts% *}))
    passed=$((passed + ${counts#* } - ${counts% *}))
}

mkdir -p "$here/build"
"$here/deploy/dependencies.sh" --test || give_up "the packages that the tests need are not there"
build release-test -DCMAKE_BUILD_TYPE=Release
run release-test
if ! $quick; then
    # leaks are looked for at exit; the evaluators of the tests are killed on purpose
    build asan -DCMAKE_BUILD_TYPE=Debug -DSEWA_SANITIZE=address,undefined
    run asan -LE 'lint|bench'
    build tsan -DCMAKE_BUILD_TYPE=Debug -DSEWA_SANITIZE=thread
    # readers of headers have one thread, and their largest cases take minutes here
    run tsan -LE 'lint|bench|fuzz-corpus' -E '^unit/formats/'
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
