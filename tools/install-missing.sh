#!/bin/sh
# Installs Debian packages, where that is possible: as root, with apt-get.
# Arguments: what it means if they are not there, then their names.
set -eu
without=$1
shift
[ $# -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	echo "not installed, so $without: $*; on Debian, apt-get install $* as root puts them there" >&2
	exit 0
fi
log=$(mktemp)
# Tests and benches start what they need themselves: no service may start.
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
if ! { apt-get -q update && apt-get -qy install --no-install-recommends "$@"; } >"$log" 2>&1 </dev/null; then
	tail -n 5 "$log" >&2
	echo "could not be installed, so $without: $*" >&2
fi
