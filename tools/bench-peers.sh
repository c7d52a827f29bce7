#!/bin/sh
# Builds and tests the program that has the neighbours, with ZeroMQ if its C library
# is there. Prints its path; nothing if it cannot be built, and says why.
set -eu
GO=${GO:-go}
bin=$PWD/bin
cd bench/peers
log=$(mktemp)
without=$(mktemp)
trap 'rm -f "$log" "$without"' EXIT
for tags in zeromq ''; do
	if "$GO" build -tags "$tags" -o "$bin/" . ./natsd >"$log" 2>&1 && "$GO" test -tags "$tags" ./... >"$log" 2>&1; then
		cat "$without" >&2
		echo "$bin/peers"
		exit 0
	fi
	{ tail -n 5 "$log"; echo "so ZeroMQ is left out of the comparison"; } >"$without"
done
tail -n 20 "$log" >&2
echo "the neighbours cannot be built or do not pass their tests, so all of them are left out of the comparison" >&2
