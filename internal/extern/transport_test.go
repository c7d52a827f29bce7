//go:build unix

package extern_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

// The example goes on when it has run out of file descriptors, wherever that
// happens.
func TestTransportThatRunsOutOfFiles(t *testing.T) {
	program, err := filepath.Abs("../../examples/transports/pytcp.py")
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{24, 25} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			dir, port := t.TempDir(), kozotest.FreePort(t)
			put(t, dir, "tight.sh", fmt.Sprintf("#!/bin/sh\nulimit -n %d\nexec %s \"$@\"\n", limit, program))
			tr, err := place(t, transportIn(t, dir, "tight"), kozo.Values{
				"address": kozo.List{"127.0.0.1"}, "bindAddress": "127.0.0.1", "port": port,
			})
			if err != nil {
				t.Fatal(err)
			}
			s := running(t, tr)
			ctx, cancel := context.WithTimeout(t.Context(), long)
			defer cancel()
			l, err := s.Listen(ctx, s.env)
			if err != nil {
				t.Fatal(err)
			}
			words := make(chan string, 100)
			var accepting sync.WaitGroup
			defer accepting.Wait()
			defer l.Close()
			accepting.Go(func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					accepting.Go(func() { // until the other end hangs up
						defer c.Close()
						text, _ := io.ReadAll(c)
						words <- string(text)
					})
				}
			})
			var conns []net.Conn
			defer func() {
				for _, c := range conns {
					_ = c.Close()
				}
			}()
			for range 20 { // more than there is room for
				c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", int(port)))
				if err != nil {
					t.Fatal(err)
				}
				conns = append(conns, c)
			}
			for !strings.Contains(s.said(), "Too many open files") {
				if time.Sleep(10 * time.Millisecond); ctx.Err() != nil {
					t.Fatalf("there is room for all: %s", s.said())
				}
			}
			for _, c := range conns {
				_ = c.Close()
			}
			for {
				if c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", int(port))); err == nil {
					_, _ = c.Write([]byte("after"))
					_ = c.Close()
				}
				select {
				case text := <-words:
					if text == "after" {
						return
					}
				case <-time.After(100 * time.Millisecond):
				case <-ctx.Done():
					t.Fatalf("it accepts nothing any more: %s", s.said())
				}
			}
		})
	}
}
