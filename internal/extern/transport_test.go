//go:build unix

package extern_test

import (
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
