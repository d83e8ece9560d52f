#!/bin/sh
# lint - rules of the house that a machine can check. Run by ctest; needs nothing built.
#
#   tests/lint/lint.sh [CHECK]     layers, format, sizes, words, sql, release or all
set -u
cd "$(dirname "$0")/../.." || exit 2
# Complaints are made at the end of pipelines, in shells of their own: a file remembers them.
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT

c_files() { find daemon client proto tests -name '*.[ch]' -print; }

complain() { # text on stdin
    lines=$(cat)
    if [ -n "$lines" ]; then
        printf '%s:\n%s\n' "$1" "$lines" | tee -a "$scratch/complaints"
    fi
}

layers() {
    # shellcheck disable=SC2046 # names without spaces
    awk -f tests/lint/layers.awk daemon/LAYERS $({
        find daemon -name '*.[ch]' ! -path 'daemon/tools/*' -print
        find client/evaluator/mlp -name '*.[ch]' -print
    } | sort) | complain "includes against daemon/LAYERS"
    # the client and what is installed must not know the daemon
    find client \( -path client/evaluator/mlp \) -prune -o -name '*.[ch]' -print |
        xargs grep -nE '^#include "(base|store|jobs|http|engine|formats)/' | complain "client/ includes daemon/"
}

# Versions of clang-format disagree about lines: one of them decides.
formatter_major=14

format() {
    for name in "clang-format-$formatter_major" clang-format; do
        version=$("$name" --version 2>/dev/null | sed -n 's/.*version \([0-9]*\)\..*/\1/p')
        [ "$version" = "$formatter_major" ] && formatter=$name && break
    done
    if [ -z "${formatter:-}" ]; then
        echo "skipped: the layout of the code is not checked: it needs clang-format $formatter_major," \
            "here is ${version:-none}"
        exit 77
    fi
    c_files | xargs "$formatter" --dry-run 2>&1 | grep -E '(warning|error):' | head -n 20 |
        complain "lines that clang-format would change (clang-format -i)"
}

sizes() {
    c_files | xargs wc -l | awk '$2 != "total" && $1 > 800 { print }' | complain "files over 800 lines"
    find daemon client tests -name '*.py' -o -name '*.sh' | xargs wc -l |
        awk '$2 != "total" && $1 > 800 { print }' | complain "scripts over 800 lines"
    git ls-files -z 2>/dev/null | xargs -0 -r du -k 2>/dev/null | awk '$1 > 1024 { print }' |
        complain "tracked files over 1 MiB"
}

words() {
    # a file says what room it is in its first lines
    for f in $(c_files); do
        head -n 3 "$f" | grep -qE '(/\*|^ \*) ?[a-z_0-9.-]+ - ' || echo "$f"
    done | complain "files that do not begin with '<name> - <what it is>'"
    promise='TO''DO|FIX''ME|X''XX|HA''CK|not impl''emented|st''ub'
    grep -rnIwE "$promise" daemon client proto sql deploy systemd tests \
        --include='*.c' --include='*.h' --include='*.py' --include='*.sh' --include='*.sql' |
        complain "words that promise something unfinished"
    grep -rnE '\bstrcpy\(|\bsprintf\(|\bgets\(|\bstrcat\(' daemon client proto --include='*.[ch]' |
        complain "unbounded string functions"
}

sql() {
    grep -rnE '"(SELECT|INSERT|UPDATE|DELETE|CREATE) ' daemon --include='*.[ch]' |
        complain "SQL text in C (it belongs into sql/)"
}

# A build without failpoints has no failpoint_set(); tests are built with them, releases are not.
release() {
    grep -rlE 'failpoint_set' tests --include='*.c' | sort | xargs awk '
        FNR == 1 { depth = guard = 0 }
        /^#if/ { depth++; if (/SEWA_FAILPOINTS/) guard = depth }
        /^#endif/ { if (guard == depth) guard = 0; depth-- }
        /failpoint_set\(/ && !guard { print FILENAME ":" FNR ": " $0 }' |
        complain "failpoint_set() outside of #ifdef SEWA_FAILPOINTS"
}

case ${1:-all} in
layers | format | sizes | words | sql | release) "$1" ;;
all) layers; sizes; words; sql; release; format ;;
*) sed -n '2,5p' "$0" >&2; exit 2 ;;
esac
[ ! -s "$scratch/complaints" ]
