#!/bin/sh
# Gets ready for one of our make targets: system packages by name, then a Python environment.
#
#   setup.sh demo|test|bench|check|guest VENV
#
# What is missing is found by looking for the programs, not by asking the package manager. Nothing
# is installed unasked: on a terminal it asks, YES=1 and CI=true go ahead, anything else prints the
# one command that would do it, and stops.
set -eu

target=$1
venv=$2
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
guard=/usr/sbin/policy-rc.d

has() { command -v "$1" >/dev/null 2>&1; }

# The first Python that is new enough and can make environments.
find_python() {
    for python in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
            >/dev/null 2>&1; then
            echo "$python"
            return
        fi
    done
    return 1
}

java_is_new_enough() {
    for java in "${JAVA_HOME:-/nowhere}/bin/java" java /usr/lib/jvm/*/bin/java; do
        version=$("$java" -XX:-UsePerfData -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p')
        if [ "${version:-0}" -ge 17 ]; then
            return
        fi
    done
    return 1
}

engine_answers() {
    has docker && env -u DOCKER_CONTEXT -u DOCKER_API_VERSION \
        DOCKER_HOST=unix:///var/run/docker.sock timeout 10 docker version >/dev/null 2>&1
}

# need PROGRAM PACKAGE
need() { has "$1" || missing="$missing $2"; }

# Pages are looked at in it; any of its three names will do.
need_chromium() {
    has chromium || has chromium-browser || has google-chrome || missing="$missing chromium"
}

need_docker() {
    need dockerd docker.io
    if ! has docker && apt-cache show docker-cli >/dev/null 2>&1; then
        missing="$missing docker-cli" # newer releases keep the client apart
    fi
    need ip iproute2
}

# What makes an emulated machine, and starts it; what it is made of comes from packages, too.
need_guest() {
    need ssh openssh-client
    need unshare util-linux
    need qemu-system-x86_64 qemu-system-x86
    [ -e /usr/share/seabios/bios-256k.bin ] || missing="$missing seabios"
    need debootstrap debootstrap
    need mke2fs e2fsprogs
    need cpio cpio
}

find_missing() {
    missing=
    find_python >/dev/null || missing="$missing python3-venv"
    if [ "$target" = check ]; then
        return
    fi
    if [ "$target" = guest ]; then
        need_guest
        return
    fi
    need sshd openssh-server
    need ssh-keygen openssh-client
    need unshare util-linux
    java_is_new_enough || missing="$missing default-jre-headless"
    need mvn maven
    if [ "$target" = demo ]; then
        engine_answers || need_docker
        return
    fi
    need_docker
    [ "$target" != test ] || need_chromium
    need busybox busybox-static
    need systemd-analyze systemd
    need faketime faketime
    has docker-compose || docker compose version >/dev/null 2>&1 || missing="$missing docker-compose"
    need patch patch
    for program in sudo zsh fish tcsh dash bash; do
        need $program $program
    done
}

# Whether root's rights can be had: as root, or through sudo (which may ask, on a terminal).
as_root() {
    if [ "$(id -u)" = 0 ]; then
        root=
    elif has sudo && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
        root=sudo
    else
        return 1
    fi
}

command_line() {
    prefix=
    [ "$(id -u)" = 0 ] || prefix="sudo "
    echo "    ${prefix}apt-get install --no-install-recommends$missing"
}

agreed() {
    if [ "${YES:-}" = 1 ] || [ "${CI:-}" = true ]; then
        return
    fi
    [ -t 0 ] || return 1
    printf 'Install them now? [y/N] '
    read -r answer
    case $answer in [yY] | [yY][eE][sS]) ;; *) return 1 ;; esac
}

install_missing() {
    if ! has apt-get; then
        echo "Missing, by Debian's names:$missing. Please install them, then try again." >&2
        exit 1
    fi
    echo "System packages that make $target needs and that are not here:$missing"
    echo "(Services that come with them are neither started nor enabled.)"
    if ! agreed || ! as_root; then
        echo "This would install them:" >&2
        command_line >&2
        exit 1
    fi
    before=$(units)
    trap 'unguard' EXIT
    trap 'exit 130' INT TERM HUP
    if [ ! -e $guard ]; then
        guarded=1
        printf '#!/bin/sh\nexit 101\n' | $root tee $guard >/dev/null
        $root chmod 755 $guard
    fi
    $root apt-get -q update || echo "apt-get update failed; going on with the lists we have" >&2
    # shellcheck disable=SC2086 # the list is words
    $root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $missing
    unguard
    trap - EXIT INT TERM HUP
    for unit in $(units); do
        case " $before " in
        *" $unit "*) ;;
        *) $root deb-systemd-helper disable "$unit" >/dev/null || true ;;
        esac
    done
}

# The services that are there, of those that our packages bring.
units() {
    for unit in ssh.service ssh.socket docker.service docker.socket containerd.service; do
        for folder in /lib/systemd/system /usr/lib/systemd/system; do
            if [ -e "$folder/$unit" ]; then
                printf '%s ' "$unit"
                break
            fi
        done
    done
}

unguard() {
    if [ "${guarded:-}" = 1 ]; then
        $root rm -f $guard
        guarded=
    fi
}

# attended COMMAND ...: it ends when we are ended, whoever the signal was sent to.
attended() {
    "$@" &
    child=$!
    trap 'kill $child 2>/dev/null; exit 130' INT
    trap 'kill $child 2>/dev/null; exit 143' TERM HUP
    wait $child
    trap - INT TERM HUP
}

make_venv() {
    python=$(find_python) || {
        echo "There is no Python 3.11 or newer that can make environments." >&2
        exit 1
    }
    what=".[dev]"
    if [ "$target" = demo ]; then
        what=.
        export PIP_NO_CACHE_DIR=1 # the demo leaves nothing outside its folder
    fi
    stamp=$("$python" --version && cksum <pyproject.toml)
    if [ "$(cat "$venv/stamp" 2>/dev/null)" = "$stamp" ]; then
        with_peers
        return
    fi
    echo "Making $venv with $("$python" --version)"
    rm -rf "$venv"
    "$python" -m venv "$venv"
    attended "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --editable "$what"
    echo "$stamp" >"$venv/stamp"
    with_peers
}

# What only the benchmarks need is added when they are first run.
with_peers() {
    if [ "$target" = bench ] && [ ! -e "$venv/peers" ]; then
        attended "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
            --editable ".[dev,bench]"
        : >"$venv/peers"
    fi
}

find_missing
if [ -n "$missing" ]; then
    install_missing
    find_missing
    if [ -n "$missing" ]; then
        echo "Still missing:$missing" >&2
        exit 1
    fi
fi
make_venv
if { [ "$target" = test ] || [ "$target" = bench ]; } && ! as_root; then
    echo "The tests start Docker engines and make namespaces: run make test as root," >&2
    echo "or as somebody whom sudo lets." >&2
    exit 1
fi
if [ "$target" = guest ] && ! as_root; then
    echo "The guest's disk is made in a chroot: run make test-cgroup2 as root," >&2
    echo "or as somebody whom sudo lets." >&2
    exit 1
fi
