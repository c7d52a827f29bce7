#!/bin/sh
# Builds and tests the program that has the neighbours, with ZeroMQ if its C library
# is there. Prints its path; nothing if it cannot be built, and says why.
set -eu
GO=${GO:-go}
bin=$PWD/bin
cd bench/peers
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for tags in zeromq ''; do
	if "$GO" build -tags "$tags" -o "$bin/" . ./natsd >"$log" 2>&1 && "$GO" test -tags "$tags" ./... >"$log" 2>&1; then
		echo "$bin/peers"
		exit 0
	fi
	[ -z "$tags" ] || echo "without ZeroMQ: its library is not here" >&2
done
tail -n 20 "$log" >&2
echo "the neighbours cannot be built, so they are left out" >&2
