#!/bin/sh
# Builds every package for other platforms, given as GOOS/GOARCH or
# GOOS/arm/GOARM, and fails if the program for a Raspberry Pi Zero has grown too large.
set -eu
GO=${GO:-go}
MOST=14000000 # bytes of that program
for platform; do
	rest=${platform#*/}
	GOOS=${platform%%/*} GOARCH=${rest%%/*} GOARM=7
	case $rest in */*) GOARM=${rest#*/} ;; esac
	export GOOS GOARCH GOARM
	echo "build $platform"
	CGO_ENABLED=0 "$GO" build ./...
done

# Tests are compiled where the source differs most from that for this machine.
for platform in windows/amd64 darwin/arm64; do
	echo "vet $platform"
	CGO_ENABLED=0 GOOS=${platform%/*} GOARCH=${platform#*/} "$GO" vet ./...
done

export GOOS=linux GOARCH=arm GOARM=6
CGO_ENABLED=0 "$GO" build -trimpath -ldflags='-s -w' -o bin/kozo-linux-armv6 ./cmd/kozo
size=$(wc -c <bin/kozo-linux-armv6)
echo "stripped program for linux/arm/6: $((size / 1000)) kB"
if [ "$size" -gt "$MOST" ]; then
	echo "it may have $((MOST / 1000)) kB, which is MOST in tools/platforms.sh; go version -m and go tool nm -size -sort size show what is in it" >&2
	exit 1
fi
