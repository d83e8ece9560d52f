#!/bin/sh
# dependencies - install the Debian packages that sewa needs.
#
#   deploy/dependencies.sh          what building and running needs
#   deploy/dependencies.sh --test   also what the tests need
#   deploy/dependencies.sh --bench  also what the benchmarks need
#
# For Debian 12 and 13. Does nothing, and needs no rights, when all of them are there. Otherwise as root or through sudo.
set -eu

build="gcc libc6-dev cmake ninja-build pkg-config
libmicrohttpd-dev libjansson-dev libuv1-dev libsqlite3-dev libconfuse-dev libcurl4-openssl-dev
libssl-dev libopenblas-pthread-dev"
tools="curl ca-certificates jq procps"
test="libcmocka-dev clang clang-format python3 python3-numpy qemu-user binutils"

# NEON kernels are compiled and emulated where they are not at home.
cross() {
    [ "$(dpkg --print-architecture)" != amd64 ] || echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross
}

# The libraries of clang's sanitizers and fuzzer have the version of its clang in their name.
clang_runtime() {
    # shellcheck source=/dev/null
    case $(. /etc/os-release && echo "${ID:-}-${VERSION_ID:-}") in
    debian-12) echo libclang-rt-14-dev ;;
    debian-13) echo libclang-rt-19-dev ;;
    *) apt-cache depends clang 2>/dev/null | sed -n 's/^ *Depends: clang-\([0-9]*\)$/libclang-rt-\1-dev/p' ;;
    esac
}

wanted="$build $tools"
case "${1:-}" in
'') ;;
--test) wanted="$wanted $test $(clang_runtime) $(cross)" ;;
--bench) wanted="$wanted $test $(clang_runtime) $(cross) wrk" ;;
*)
    echo "usage: deploy/dependencies.sh [--test | --bench]" >&2
    exit 2
    ;;
esac

missing=
for package in $wanted; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing="$missing $package"
done
if [ -z "$missing" ]; then
    echo "dependencies: all packages are there"
    exit 0
fi

as_root=
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
        echo "dependencies: these packages are missing, and installing them needs root:$missing" >&2
        exit 1
    }
    as_root=sudo
fi
echo "dependencies: installing$missing"
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get -q update
# shellcheck disable=SC2086 # a list of words
$as_root apt-get -q -y install --no-install-recommends $missing
