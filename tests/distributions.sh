#!/bin/bash
# distributions - build, and run the tests, on each distribution that is supported.
#
#   tests/distributions.sh [--full] [bookworm | trixie]...      default: all of them
#
# Each gets a chroot of its own, made by debootstrap at the first time and kept in build/distributions
# (SEWA_CHROOTS names another folder, SEWA_MIRROR another mirror). tests/run.sh --quick runs in a copy
# of the source there, with --full the sanitizers too; its words are in build/distributions/NAME.log.
# Needs root, debootstrap and, for packages that are missing, the network; without them a distribution
# is skipped, and the reason is said. The last line is "N passed, N failed, N skipped".
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
chroots=${SEWA_CHROOTS:-$here/build/distributions}
logs=$here/build/distributions
mirror=${SEWA_MIRROR:-http://deb.debian.org/debian}
supported="bookworm trixie"

mode=--quick
wanted=
for argument in "$@"; do
    case " $supported " in *" $argument "*) wanted="$wanted $argument"; continue ;; esac
    case $argument in
    --full) mode= ;;
    *) sed -n '2,10p' "$0" >&2; exit 2 ;;
    esac
done

passed=0
failed=0
skipped=0
say() { echo "distributions: $*"; }

skip() { # NAME REASON
    say "$1 is skipped: $2"
    skipped=$((skipped + 1))
}

# What a chroot cannot be made or entered without; nothing when all is there.
lacking() { # NAME
    if [ "$(id -u)" != 0 ]; then
        echo "a chroot needs root"
    elif ! unshare --mount --pid --fork true 2>/dev/null; then
        echo "this machine allows no mounts of its own"
    elif [ ! -e "$chroots/$1/etc/debian_version" ] && ! command -v debootstrap >/dev/null; then
        echo "debootstrap is not installed"
    fi
}

# Under another name until it is whole.
make_chroot() { # NAME
    local root=$chroots/$1
    [ ! -e "$root/etc/debian_version" ] || return 0
    say "making a chroot of $1 in $root"
    rm -rf --one-file-system "$root.part"
    debootstrap --variant=minbase "$1" "$root.part" "$mirror" >>"$logs/$1.log" 2>&1 &&
        mv "$root.part" "$root"
}

# What git knows, or would: no build, nothing that is ignored. Without git, all but the builds.
copy_source() { # NAME
    local to=$chroots/$1/root/sewa
    mkdir -p "$to"
    # the builds stay for the next time; a file that has left the source must not
    find "$to" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
    { (cd "$here" && git ls-files -z -co --exclude-standard 2>/dev/null) ||
        (cd "$here" && find . -path './build*' -prune -o \( -type f -o -type l \) -print0); } |
        tar -C "$here" --null --ignore-failed-read -T - -c 2>/dev/null | tar -C "$to" -x
}

# Mounts and processes are those of a namespace: all of them end with it, however this ends.
inside() { # NAME COMMAND...
    local root=$chroots/$1
    shift
    # shellcheck disable=SC2016 # for the shell in there
    unshare --mount --pid --fork --kill-child bash -c '
        root=$1
        shift
        mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" &&
            mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" || exit 1
        cat /etc/resolv.conf >"$root/etc/resolv.conf" 2>/dev/null
        env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
            LANG=C.UTF-8 TMPDIR=/tmp chroot "$root" "$@"
        exit $?' inside "$root" "$@"
}

test_in() { # NAME
    local log=$logs/$1.log reason counts
    : >"$log"
    reason=$(lacking "$1")
    if [ -n "$reason" ]; then skip "$1" "$reason"; return; fi
    make_chroot "$1" || { skip "$1" "debootstrap failed, see $log"; return; }
    copy_source "$1" || { say "the source cannot be copied"; failed=$((failed + 1)); return; }
    inside "$1" /root/sewa/deploy/dependencies.sh --test >>"$log" 2>&1 ||
        { skip "$1" "its packages cannot be installed, see $log"; return; }
    say "building and testing on $1; all of it goes to $log"
    # shellcheck disable=SC2086 # a list of words, or none
    inside "$1" /root/sewa/tests/run.sh $mode >>"$log" 2>&1
    counts=$(tail -n 1 "$log" | sed -nE \
        's/^([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$/\1 \2 \4/p')
    if [ -z "$counts" ]; then
        tail -n 20 "$log"
        say "the tests on $1 did not come to an end"
        failed=$((failed + 1))
        return
    fi
    read -r p f s <<<"$counts"
    grep -aE '\*\*\*(Failed|Timeout|Exception|Not Run)' "$log"
    say "$1: $(tail -n 1 "$log")"
    passed=$((passed + p))
    failed=$((failed + f))
    skipped=$((skipped + ${s:-0}))
}

mkdir -p "$logs" "$chroots"
for name in ${wanted:-$supported}; do test_in "$name"; done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
