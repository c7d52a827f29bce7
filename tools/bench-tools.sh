#!/bin/sh
# Installs what the bench compares Kōzō with, as far as Debian has it and that is
# possible: as root, with apt-get. What is missing is left out of the comparison.
set -eu
missing=
command -v mosquitto >/dev/null 2>&1 || [ -x /usr/sbin/mosquitto ] || missing="$missing mosquitto"
[ -e /usr/include/zmq.h ] || missing="$missing libzmq3-dev"
command -v pkg-config >/dev/null 2>&1 || missing="$missing pkg-config"
command -v "${CC:-gcc}" >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "not installed, so left out of the comparison:$missing" >&2
	exit 0
fi
log=$(mktemp)
# The broker is for the bench alone, which starts its own: no service may start.
policy=/usr/sbin/policy-rc.d
if [ -e "$policy" ]; then
	trap 'rm -f "$log"' EXIT
else
	trap 'rm -f "$log" "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
DEBIAN_FRONTEND=noninteractive
export DEBIAN_FRONTEND
# shellcheck disable=SC2086 # a list of words
if ! { apt-get -q update && apt-get -qy install --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
	tail -n 5 "$log" >&2
	echo "could not be installed, so left out of the comparison:$missing" >&2
fi
