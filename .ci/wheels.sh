#!/usr/bin/env bash
# Wheels for Linux without containers: one for each C library and processor, and every Python 3.
#
#   wheels.sh SDIST FOLDER [TARGET...]     TARGET: x86_64-manylinux aarch64-manylinux x86_64-musllinux aarch64-musllinux
#
# Zig's compiler brings the headers of all of them and a C++ library that it links statically. The first run compiles
# that library, which takes minutes. tests/wheels/check.py checks what the tags promise.
set -euo pipefail
IN=${IN:-.venv/bin/python}
TOOLS=$(realpath -m work/wheel-tools)

sdist=$1 folder=$2
shift 2
[ $# -gt 0 ] || set -- x86_64-manylinux aarch64-manylinux x86_64-musllinux aarch64-musllinux
[ -e "$TOOLS/bin/python" ] || "$IN" -m venv "$TOOLS"
"$TOOLS/bin/python" -m pip install --quiet --constraint constraints.txt ziglang
zig=$(echo "$TOOLS"/lib/python*/site-packages/ziglang/zig)

for target; do
    machine=${target%-*}
    case $target in
    *-manylinux) system=linux-gnu.2.17 platform=manylinux_2_17_$machine ;;
    *-musllinux) system=linux-musl platform=musllinux_1_2_$machine ;;
    *) echo "wheels: unknown target $target" >&2 && exit 2 ;;
    esac
    cc="$zig cc -target $machine-$system" cxx="$zig c++ -target $machine-$system"
    CC=$cc CXX=$cxx LDSHARED="$cc -shared" LDCXXSHARED="$cxx -shared" LDFLAGS='-Wl,--gc-sections -s' \
        _PYTHON_HOST_PLATFORM=$platform "$IN" -m pip wheel --quiet --no-deps --wheel-dir "$folder" "$sdist"
done
