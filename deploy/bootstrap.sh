# shellcheck shell=sh
# Sourced by deploy/demo, tests/run and .ci/run: makes .venv with the locked dependencies and the relay in it.
# It installs Debian packages where it may and says what is wanted where it may not.
# The caller sets `root`, the directory that holds pyproject.toml.
: "${root:?}"

say() {
    printf '%s\n' "$*" >&2
}

# find_python: prints a Python of 3.11 or later that can make a virtual environment; $PYTHON comes first.
find_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if "$candidate" -c 'import ensurepip, sqlite3, ssl, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

# as_root COMMAND...: runs it as root, or fails where that needs a password.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

# test_processes: prints by how many processes tests are best run: tests of services wait for half of their time.
test_processes() {
    echo $((($(nproc) * 3 + 1) / 2))
}

is_installed() {
    dpkg-query --show --showformat '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed
}

# install_packages NAME...: installs the Debian packages that are missing. No package gets to start a service, now or
# at the next boot. Fails, having said why, where they cannot be installed.
install_packages() {
    missing=
    for package in "$@"; do
        is_installed "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null || ! as_root true 2>/dev/null; then
        say "Missing, and not mine to install here:$missing"
        say "  As root: apt-get install$missing"
        return 1
    fi
    say "Installing with apt-get:$missing"
    log=$(mktemp)
    # shellcheck disable=SC2086  # a list of names, none of which has a blank
    if ! as_root sh -s -- $missing >"$log" 2>&1 <<'AS_ROOT'; then
set -eu
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ -e "$policy" ]; then mv "$policy" "$policy.kept"; fi
restore() {
    rm -f "$policy"
    if [ -e "$policy.kept" ]; then mv "$policy.kept" "$policy"; fi
}
trap restore EXIT
trap 'exit 1' HUP INT TERM
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"
apt-get update -q </dev/null
apt-get install -q -y --no-install-recommends "$@" </dev/null
for package in "$@"; do
    # The tests start servers of their own, and only read with fail2ban; the machine's stay as off as before.
    case $package in
        openssh-server) update-rc.d ssh disable </dev/null ;;
        proftpd-core) update-rc.d proftpd disable </dev/null ;;
        fail2ban) update-rc.d fail2ban disable </dev/null ;;
    esac
done
AS_ROOT
        cat "$log" >&2
        rm -f "$log"
        say "apt-get could not install:$missing"
        return 1
    fi
    rm -f "$log"
}

# make_environment LOCK...: makes .venv, or brings it up to date, with what the last LOCK lists and the relay itself.
# The others are those that the last one includes. Does nothing where .venv holds all of it already.
make_environment() {
    environment=$root/.venv
    stamp=$environment/installed.sha256
    wanted=$(cd "$root" && pwd && sha256sum pyproject.toml "$@")
    if "$environment/bin/python" -P -c 'import relay' 2>/dev/null; then
        case $(cat "$stamp" 2>/dev/null) in "$wanted"*) return 0 ;; esac
    else
        python=$(find_python) || {
            install_packages python3-venv || true
            python=$(find_python) || {
                say 'A Python of 3.11 or later with venv and pip is wanted.'
                return 1
            }
        }
        "$python" -m venv --clear "$environment"
    fi
    for lock in "$@"; do :; done
    say "Installing what $lock lists into .venv; this happens once"
    rm -f "$stamp"
    pip="$environment/bin/python -m pip --disable-pip-version-check --no-input -qq"
    $pip install --require-hashes --only-binary :all: -r "$root/$lock"
    $pip install --no-deps --no-build-isolation --editable "$root"
    printf '%s\n' "$wanted" >"$stamp"
}
