#!/bin/sh
# Installs the Debian packages whose programs are missing, where that is
# possible. Arguments: PACKAGE:PROGRAM...
set -eu
missing=
for pair; do
	command -v "${pair#*:}" >/dev/null 2>&1 || missing="$missing ${pair%%:*}"
done
# shellcheck disable=SC2086 # a list of words
exec "$(dirname "$0")/install-missing.sh" "some tests will be skipped" $missing
