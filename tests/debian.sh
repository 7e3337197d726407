#!/bin/sh
# Installs packages of Debian's, each announced in a line: tests/debian.sh PACKAGE…
# As root or with a sudo that asks for no password; otherwise it does nothing and its exit code is not 0.
set -eu

command -v apt-get >/dev/null || exit 1
if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || exit 1
    exec sudo -n sh "$0" "$@"
fi

# A server that came for the tests must not run beside them: not now, and not after the next boot.
policy=/usr/sbin/policy-rc.d log=$(mktemp)
trap 'rm -f "$log"' EXIT
trap 'exit 130' HUP INT TERM # so that what is said for EXIT is done then, too
if [ ! -e "$policy" ]; then
    trap 'rm -f "$log" "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
fi

for package; do
    echo "Installing $package from Debian …"
done
export DEBIAN_FRONTEND=noninteractive
apt() { apt-get -qq -o DPkg::Lock::Timeout=120 "$@" </dev/null >>"$log" 2>&1; }
apt update || true # one source of many may be away
apt install -y --no-install-recommends "$@" || { cat "$log" >&2; exit 1; }
if command -v systemctl >/dev/null; then
    for package; do systemctl disable --quiet "$package" 2>/dev/null || true; done
fi
