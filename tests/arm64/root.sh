#!/usr/bin/env bash
# An arm64 Debian in a folder, with edgespeech in it, whose commands run on a processor model of qemu.
#
#   root.sh ready                      exit with 1 and one line if this machine cannot do it
#   root.sh system ROOT                make the folder: Python, PortAudio and what they need (Debian's packages, unpacked)
#   root.sh libraries ROOT             install the wheels for aarch64, and KenLM, cross-compiled
#   root.sh project ROOT [WHEEL]       install edgespeech as it is in this checkout, or from a wheel, and copy its tests
#   root.sh run ROOT CPU COMMAND...    run a command; CPU: cortex-a72, cortex-a76, neoverse-n1, max
#
# Times under emulation say nothing about a device.
set -euo pipefail
cd "$(dirname "$0")/../.."

PACKAGES=(qemu-user-static binfmt-support mmdebstrap arch-test g++-aarch64-linux-gnu)
IN=${IN:-.venv/bin/python}
KENLM=work/kenlm/source
LIBRARIES=opt/libraries PROJECT=opt/edgespeech SOURCE=opt/source

python_of() { basename "$(readlink "$1/usr/bin/python3")" | sed 's/^python//'; }

ready() {
    if [ "$(id -u)" -ne 0 ]; then
        echo "arm64: not root, so no mount namespace can be made"
    elif ! grep -qx 'ID=debian' /etc/os-release; then
        echo "arm64: the packages come from this machine's own sources, which must be Debian's"
    elif ! dpkg -s "${PACKAGES[@]}" >/dev/null 2>&1; then
        echo "arm64: a package is missing; apt-get install ${PACKAGES[*]}"
    elif ! unshare --mount bash -c "$BINFMT"; then
        echo "arm64: no mount namespace with binfmt_misc (in a container it needs --privileged)"
    else
        return 0
    fi
    return 1
}

# The kernel starts qemu for programs of aarch64; Debian's entry holds qemu open, so it also works inside the root.
BINFMT='
    [ -e /proc/sys/fs/binfmt_misc/register ] || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
    [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ] || update-binfmts --enable qemu-aarch64
    [ -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ]'

make_system() {
    local root=$1 sources=()
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian*; do
        [ ! -s "$file" ] || sources+=("$file")
    done
    rm -rf "$root"
    mkdir -p "$(dirname "$root")"
    # shellcheck source=/dev/null
    mmdebstrap --quiet --mode=root --arch=arm64 --variant=extract \
        --include=base-files,libc-bin,python3,libpython3-dev,libstdc++6,libgomp1,libportaudio2,dash,coreutils \
        "$(. /etc/os-release && echo "$VERSION_CODENAME")" "$root" "${sources[@]}"
    mkdir -p "$root/proc" "$root/sys" "$root/dev" "$root/tmp" "$root/root"
    # Packages that are not configured leave no cache of the libraries, where Python looks for PortAudio.
    run "$root" cortex-a72 /sbin/ldconfig
}

install_libraries() {
    local root=$1 version
    version=$(python_of "$root")
    rm -rf "${root:?}/$LIBRARIES"
    "$IN" -m uv pip install --quiet --target "$root/$LIBRARIES" --python-version "$version" \
        --python-platform aarch64-manylinux_2_28 --only-binary :all: \
        --constraints constraints.txt --requirements pyproject.toml --extra cpu --extra mic pytest hypothesis
    cross_compile_kenlm "$(realpath "$root")" "$version"
}

# Cython writes the module again, because that of kenlm 0.3.0 does not compile for Python 3.13.
cross_compile_kenlm() {
    local root=$1 version=$2 work=$1/tmp/kenlm
    rm -rf "$work"
    cp -r "$KENLM" "$work"
    mkdir -p "$work/include/aarch64-linux-gnu"
    ln -s "$root/usr/include/aarch64-linux-gnu/python$version" "$work/include/aarch64-linux-gnu/"
    "$IN" -m uv tool run --quiet --constraints constraints.txt cython -3 --cplus "$work/python/kenlm.pyx" -o "$work/python/kenlm.cpp"
    (
        cd "$work"
        ls util/*.cc lm/*.cc util/double-conversion/*.cc python/*.cc python/kenlm.cpp | grep -vE '(main|test)\.cc$' |
            xargs -P "$(nproc)" -I{} sh -c 'aarch64-linux-gnu-g++ -w -O2 -DNDEBUG -DKENLM_MAX_ORDER=6 -DHAVE_CLOCKGETTIME \
                -std=c++11 -fPIC -I. -Iinclude -I"$1" -c "$2" -o "$(echo "$2" | tr / _).o"' - "$root/usr/include/python$version" {}
        aarch64-linux-gnu-g++ -shared -o "$root/$LIBRARIES/kenlm.cpython-${version/./}-aarch64-linux-gnu.so" ./*.o -lrt
    )
    rm -r "$work"
}

install_project() {
    local root=$1 wheel=${2:-} version
    version=$(python_of "$root")
    rm -rf "${root:?}/$PROJECT" "${root:?}/$SOURCE"
    mkdir -p "$root/$SOURCE"
    # What git ignores stays here; the copy is built, because a build leaves folders in its source.
    git ls-files -z --cached --others --exclude-standard | xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' - |
        tar --create --null --files-from=- | tar --extract --directory "$root/$SOURCE"
    if [ -n "$wheel" ]; then
        "$IN" -m uv pip install --quiet --target "$root/$PROJECT" --no-deps --python-version "$version" \
            --python-platform aarch64-manylinux_2_28 "$wheel"
        return
    fi
    CC=aarch64-linux-gnu-gcc CXX=aarch64-linux-gnu-g++ \
        LDSHARED="aarch64-linux-gnu-gcc -shared" LDCXXSHARED="aarch64-linux-gnu-g++ -shared" \
        "$IN" -m uv pip install --quiet --target "$root/$PROJECT" --no-deps --python-version "$version" "$root/$SOURCE"
}

# qemu passes on this machine's /proc/cpuinfo, so programs get one of an Arm processor.
cpu_info() {
    local part=0xd0b features='fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp'
    case $1 in
    cortex-a72) part=0xd08 features='fp asimd evtstrm crc32 cpuid' ;;
    neoverse-n1) part=0xd0c ;;
    max) part=0xd4f features="$features sve sve2 i8mm bf16" ;;
    esac
    for core in 0 1; do
        printf 'processor\t: %s\nFeatures\t: %s\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: %s\nCPU revision\t: 1\n\n' \
            "$core" "$features" "$part"
    done
}

run() {
    local root=$1 cpu=$2
    shift 2
    cpu_info "$cpu" >"$root/tmp/cpuinfo"
    # In a mount namespace of its own nothing stays mounted.
    ROOT=$root CPU=$cpu BINFMT=$BINFMT unshare --mount bash -c '
        set -e
        eval "$BINFMT"
        for folder in proc sys dev; do mount --rbind "/$folder" "$ROOT/$folder"; done
        mount --bind "$ROOT/tmp/cpuinfo" "$ROOT/proc/cpuinfo"
        exec env -i PATH=/usr/bin:/bin HOME=/root LANG=C.UTF-8 QEMU_CPU="$CPU" \
            PYTHONPATH=/'"$PROJECT:/$LIBRARIES"' \
            /usr/sbin/chroot "$ROOT" "$@"' - "$@"
}

case ${1:-} in
ready) ready ;;
system) make_system "$2" ;;
libraries) install_libraries "$2" ;;
project) install_project "$2" "${3:-}" ;;
run) shift && run "$@" ;;
*)
    sed -n '2,10s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
