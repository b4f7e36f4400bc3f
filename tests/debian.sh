#!/usr/bin/env bash
# A fresh Debian in a folder, in which edgespeech is installed as a user does: first without a compiler, then with one.
#
#   debian.sh ready                    exit with 1 and one line if this machine cannot do it
#   debian.sh check ROOT SDIST         RELEASE=trixie and PYTHON=python3 choose Debian's release and its Python
set -euo pipefail
cd "$(dirname "$0")/.."

RELEASE=${RELEASE:-trixie} PYTHON=${PYTHON:-python3}

ready() {
    if [ "$(id -u)" -ne 0 ]; then
        echo "debian: not root, so no mount namespace can be made"
    elif ! grep -qx 'ID=debian' /etc/os-release; then
        echo "debian: the packages come from this machine's mirror, which must be Debian's"
    elif ! command -v mmdebstrap >/dev/null; then
        echo "debian: mmdebstrap is missing; apt-get install mmdebstrap"
    elif ! unshare --mount true; then
        echo "debian: no mount namespace (in a container it needs --privileged)"
    else
        return 0
    fi
    return 1
}

make_root() {
    local root=$1 mirror
    mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep '/debian/\?$' | head -n 1)
    rm -rf "$root"
    mkdir -p "$(dirname "$root")"
    # A mirror may hold an older state of the releases that still change.
    mmdebstrap --quiet --mode=root --variant=minbase --aptopt='Acquire::Check-Valid-Until "false"' \
        --include="ca-certificates,$PYTHON,$PYTHON-venv" "$RELEASE" "$root" "$mirror"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    mkdir -p "$root/opt/check/tests"
}

# In a mount namespace of its own nothing stays mounted. pip's settings of this machine hold inside too.
inside() {
    local root=$1 name settings=()
    shift
    for name in ${!PIP_@} "${!http@}" "${!https@}"; do settings+=("$name=${!name}"); done
    ROOT=$root unshare --mount bash -c '
        set -e
        for folder in proc sys dev; do mount --rbind "/$folder" "$ROOT/$folder"; done
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
            chroot "$ROOT" env "$@"' - "${settings[@]}" "$@"
}

check() {
    local root=$1 sdist=$2
    echo "Debian $RELEASE: unpacking its packages takes a minute"
    make_root "$root"
    cp README.md "$root/opt/check/"
    cp tests/plain_install.py "$root/opt/check/tests/"
    cp "$sdist" "$root/opt/check/"
    install=("$PYTHON" /opt/check/tests/plain_install.py "/opt/check/$(basename "$sdist")" /opt/edgespeech --search)
    echo "Debian $RELEASE without a compiler"
    inside "$root" sh -c '! command -v cc g++'
    inside "$root" "${install[@]}" numpy
    echo "Debian $RELEASE with a compiler"
    inside "$root" apt-get update -qq
    inside "$root" apt-get install -qq --no-install-recommends g++ >"$root/tmp/apt.log" 2>&1 ||
        { cat "$root/tmp/apt.log" && return 1; }
    inside "$root" "${install[@]}" native
}

case ${1:-} in
ready) ready ;;
check) check "$2" "$3" ;;
*)
    sed -n '2,5s/^# \{0,1\}//p' "$0"
    exit 2
    ;;
esac
