#!/bin/sh
# Installs the Debian packages whose programs are missing, where that is
# possible: as root, with apt-get. Arguments: PACKAGE:PROGRAM...
set -eu
missing=
for pair; do
	command -v "${pair#*:}" >/dev/null 2>&1 || missing="$missing ${pair%%:*}"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "not installed, so some tests will be skipped:$missing" >&2
	exit 0
fi
log=$(mktemp)
# The tests start what they need themselves: no service may start.
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
	echo "could not be installed, so some tests will be skipped:$missing" >&2
fi
