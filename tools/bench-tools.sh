#!/bin/sh
# Installs what the bench compares Kōzō with, as far as Debian has it and that is
# possible. What is missing is left out of the comparison.
set -eu
missing=
command -v mosquitto >/dev/null 2>&1 || [ -x /usr/sbin/mosquitto ] || missing="$missing mosquitto"
[ -e /usr/include/zmq.h ] || missing="$missing libzmq3-dev"
command -v pkg-config >/dev/null 2>&1 || missing="$missing pkg-config"
command -v "${CC:-gcc}" >/dev/null 2>&1 || missing="$missing gcc libc6-dev"
# shellcheck disable=SC2086 # a list of words
exec "$(dirname "$0")/install-missing.sh" "left out of the comparison" $missing
