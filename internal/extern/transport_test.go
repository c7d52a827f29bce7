//go:build unix

package extern_test

import (
	"slices"
	"testing"

	"kozo"
	"kozo/internal/extern"
	"kozo/kozotest"
)

// transportIn finds a type of transport in a directory.
func transportIn(t *testing.T, dir, name string) kozo.TransportType {
	t.Helper()
	set := extern.New(extern.Dirs{})
	t.Cleanup(set.Close)
	typ, _, err := set.Transport(name, []string{dir}, nil)
	if err != nil || typ.Name != name {
		t.Fatalf("found type %q, %v", typ.Name, err)
	}
	return typ
}

func TestTransportInPythonConforms(t *testing.T) {
	kozotest.TestTransport(t, kozotest.TransportTest{
		Type: transportIn(t, "../../examples/transports", "pytcp"),
		Options: kozo.Values{
			"address": kozo.List{"127.0.0.1", "localhost"}, "bindAddress": "127.0.0.1", "port": kozotest.FreePort(t),
		},
		Dialer: kozo.Values{"address": kozo.List(nil), "bindAddress": "", "port": kozo.Port(9002)},
		Skip:   map[string]string{"silence": "a program is only given the endpoints that the remote block has"},
	})
}

// A transport is asked one question at a time. What it says to nobody does not
// stand in the way of its answer.
func TestTransportAnswersBesideOtherLines(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "chatty.sh", `#!/bin/sh
if [ "$1" = --describe ]; then
	echo '{"protocol":1,"kind":"transport","options":{}}'
	exit
fi
echo '{"op":"hello","protocol":1}'
while read -r line; do
	id=$(printf '%s' "$line" | sed 's/.*"id":\([0-9]*\).*/\1/')
	case $line in
	'{"op":"about",'*) printf '{"op":"error","text":"oh"}\n{"op":"done","id":99}\n{"op":"about","id":%s,"endpoints":["here"]}\n' "$id" ;;
	esac
done
`)
	typ := transportIn(t, dir, "chatty")
	for _, name := range []string{"one", "two"} {
		made, err := typ.New(kozo.Values{})
		if err != nil {
			t.Fatal(err)
		}
		if err := made.(kozo.Placer).Place("clock", name); err != nil {
			t.Error(err)
		}
		if got := made.Endpoints(); !slices.Equal(got, []string{"here"}) {
			t.Errorf("its endpoints are %q", got)
		}
	}
}
