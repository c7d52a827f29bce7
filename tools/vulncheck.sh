#!/bin/sh
# Runs the vulnerability checker that is given as arguments. A network without
# a way to the vulnerability database is no failure, and is said; a finding and
# everything else that goes wrong is one.
set -eu
out=$(mktemp)
trap 'rm -f "$out"' EXIT
status=0
"$@" >"$out" 2>&1 </dev/null || status=$?
if [ "$status" = 0 ]; then
	exit 0
fi
# This is how it says that the request failed before there was any answer.
if grep -q '^govulncheck: fetching vulnerabilities: Get "' "$out" && ! grep -q '^Vulnerability #' "$out"; then
	echo "vulnerability database not reachable: not checked"
	exit 0
fi
cat "$out"
exit "$status"
