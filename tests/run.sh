#!/bin/bash
# run.sh - install what is missing, build, and run every test.
#
#   tests/run.sh            everything: release and two sanitizer builds
#   tests/run.sh --quick    the release build only
#   tests/run.sh --long     also what takes long: more kills, longer fuzzing, seeded faults, both distributions
#
# The last line is "N passed, N failed, N skipped". As root or through sudo, from any directory, as often as you like.
# What was left out is listed with its reason, whole entries of ctest and single cases inside of them. Fewer
# tests than there used to be is a failure too: see the floors below.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
quick=false
export SEWA_TEST_LONG=0
for argument in "$@"; do
    case $argument in
    --quick) quick=true ;;
    --long) SEWA_TEST_LONG=1 ;;
    *) sed -n '2,10p' "$0" >&2; exit 2 ;;
    esac
done

jobs=$(nproc)
passed=0
failed=0
skipped=0
say() { echo "tests: $*"; }

give_up() { # what failed before any test could run counts as one failure
    say "$*"
    echo "$passed passed, $((failed + 1)) failed, $skipped skipped"
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

# A test that is no longer built or no longer finds its cases fails nobody. So a build has at least as many
# entries, and cases inside of them, as stood here last: raise the numbers when tests are added.
enough() { # NAME ENTRIES CASES
    local entries cases
    case $1 in
    release-test) entries=235 cases=3700 ;;
    asan) entries=224 cases=3700 ;;
    tsan) entries=190 cases=2650 ;;
    esac
    [ "$2" -ge "$entries" ] && [ "$3" -ge "$cases" ] && return
    say "build/$1 ran $2 tests with $3 cases, and had at least $entries with $cases (see enough() in tests/run.sh)"
    failed=$((failed + 1))
}

run() { # NAME CTEST-ARGUMENT...
    local name=$1 log tally entries fails wholly left cases
    shift
    log=$here/build/$name.tests.log
    say "running the tests of build/$name"
    (cd "$here/build/$name" && ctest -j "$jobs" --output-on-failure "$@") 2>&1 | tee "$log" |
        grep -avE '^ +Start |Passed +[0-9.]+ sec$|\*\*\*Skipped'
    tally=$(LC_ALL=C awk -f "$here/tests/tally.awk" "$log" "$here/build/$name/Testing/Temporary/LastTest.log") ||
        give_up "the tests of '$name' did not run; see build/$name.tests.log"
    sed '$d' <<<"$tally"
    read -r _ entries fails wholly left cases <<<"${tally##*$'\n'}"
    failed=$((failed + fails))
    skipped=$((skipped + left))
    passed=$((passed + entries - fails - wholly))
    say "build/$name: $entries tests with $cases cases, $fails failed, $left skipped"
    enough "$name" "$entries" "$cases"
}

mkdir -p "$here/build"
"$here/deploy/dependencies.sh" --test || give_up "the packages that the tests need are not there"
build release-test -DSEWA_TESTS=ON -DCMAKE_BUILD_TYPE=Release
run release-test
if ! $quick; then
    # leaks are looked for at exit; the evaluators of the tests are killed on purpose
    build asan -DSEWA_TESTS=ON -DCMAKE_BUILD_TYPE=Debug -DSEWA_SANITIZE=address,undefined
    run asan -LE 'lint|bench'
    build tsan -DSEWA_TESTS=ON -DCMAKE_BUILD_TYPE=Debug -DSEWA_SANITIZE=thread
    # readers of headers have one thread, and their largest cases take minutes here
    run tsan -LE 'lint|bench|fuzz-corpus' -E '^unit/formats/'
fi

# What takes hours, each as one test.
campaign() { # NAME COMMAND...
    local name=$1
    shift
    say "$name (see build/$name.log)"
    if "$@" >"$here/build/$name.log" 2>&1; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
    tail -n 24 "$here/build/$name.log"
}
if [ "$SEWA_TEST_LONG" = 1 ] && ! $quick; then
    campaign mutation "$here/tests/mutation/mutate.py" --directory "$here/build/mutation-trees"
    campaign soak env SEWA_BIN="$here/build/release-test/bin" python3 "$here/tests/soak/soak.py"
    campaign distributions "$here/tests/distributions.sh"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
