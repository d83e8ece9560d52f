#!/bin/sh
# variants - compile the kernels and test_variants.c for aarch64 and run them on an emulated
# processor: NEON against the reference, to the bit. Needs gcc-aarch64-linux-gnu and qemu-user
# (Debian's names), and libc6-dev-arm64-cross with the first; exits with 77 where they are missing.
#
#   tests/kernels/cross/variants.sh DIRECTORY-FOR-THE-PROGRAM DIRECTORY-OF-GENERATED-HEADERS
set -eu
here=$(cd "$(dirname "$0")/../../.." && pwd)
compiler=aarch64-linux-gnu-gcc
for program in $compiler qemu-aarch64; do
    if ! command -v $program >/dev/null; then
        echo "skipped: there is no $program (Debian: gcc-aarch64-linux-gnu, libc6-dev-arm64-cross, qemu-user)"
        exit 77
    fi
done
mkdir -p "$1"
$compiler -std=gnu11 -O2 -static -D_GNU_SOURCE -Wall -Wextra -Werror -Wno-missing-field-initializers \
    -ffp-contract=off -fno-math-errno -fno-trapping-math \
    -I"$here/tests/kernels/cross" -I"$here/daemon" -I"$here/proto" -I"$2" -I"$here/tests" \
    "$here"/daemon/numerics/*.c "$here/daemon/base/dtype.c" "$here/daemon/base/buf.c" \
    "$here/proto/error.c" "$here/tests/kernels/test_variants.c" -lm -o "$1/variants-aarch64"
exec qemu-aarch64 "$1/variants-aarch64" neon
