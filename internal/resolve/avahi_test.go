package resolve

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// avahi is a daemon that answers each line with what answer returns.
func avahi(t *testing.T, answer func(command, name string) string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "avahi")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				var command, name string
				if _, err := fmt.Fscanln(c, &command, &name); err != nil {
					return
				}
				if text := answer(command, name); text != "" {
					io.WriteString(c, text)
					return
				}
				io.Copy(io.Discard, c) // silent until the other side goes
			}()
		}
	}()
	return path
}

func TestAvahiIsAskedFirst(t *testing.T) {
	loopback, err := net.InterfaceByIndex(1)
	if err != nil {
		t.Skip("there is no interface 1")
	}
	r := lonely(book{"clock.local": ips("192.0.2.99"), "router.local": ips("192.0.2.1")})
	r.AvahiSocket = avahi(t, func(command, name string) string {
		switch {
		case name != "clock.local":
			return "-15 Timeout reached\n"
		case command == "RESOLVE-HOSTNAME-IPV4":
			time.Sleep(20 * time.Millisecond) // comes last, is tried first
			return "+ 2 0 clock.local 10.13.37.2\n"
		case command == "RESOLVE-HOSTNAME-IPV6":
			return "+ 1 1 clock.local fe80::1\n"
		}
		return "-3 Unknown command\n"
	})
	got, err := r.Lookup(t.Context(), "Clock.local")
	if want := ips("10.13.37.2", "fe80::1%"+loopback.Name); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	got, err = r.Lookup(t.Context(), "router.local")
	if err != nil || !slices.Equal(got, ips("192.0.2.1")) {
		t.Errorf("what Avahi does not know: %v, %v", got, err)
	}
}

func TestHalfAnAnswerOfAvahiIsEnough(t *testing.T) {
	r := lonely(nil)
	r.AvahiSocket = avahi(t, func(command, _ string) string {
		if command == "RESOLVE-HOSTNAME-IPV4" {
			return "+ 2 0 clock.local 10.13.37.2\n"
		}
		return ""
	})
	start := time.Now()
	got, err := r.Lookup(t.Context(), "clock.local")
	if err != nil || !slices.Equal(got, ips("10.13.37.2")) {
		t.Errorf("%v, %v", got, err)
	}
	if took := time.Since(start); took > avahiTime {
		t.Errorf("it took %v", took)
	}
}

func TestHostileAvahiDoesNoHarm(t *testing.T) {
	for what, text := range map[string]string{
		"silence":        "",
		"endless line":   strings.Repeat("x", 1<<20),
		"no address":     "+ 2 0 clock.local localhost\n",
		"too few words":  "+ 2 0\n",
		"too many words": "+ 2 0 clock.local 10.0.0.1 10.0.0.2\n",
		"unspecified":    "+ 2 0 clock.local 0.0.0.0\n",
		"binary":         "\x00\xff\n",
		"half a line":    "+ 2 0 clock.local 10.0.0.1",
	} {
		t.Run(what, func(t *testing.T) {
			r := lonely(nil)
			r.AvahiSocket = avahi(t, func(string, string) string { return text })
			start := time.Now()
			if got, err := r.Lookup(t.Context(), "clock.local"); err == nil {
				t.Errorf("%v", got)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func FuzzParseAvahi(f *testing.F) {
	f.Add("+ 2 0 clock.local 10.13.37.2\n")
	f.Add("+ 999999999999999999999 1 clock.local fe80::1\n")
	f.Add("-15 Timeout reached\n")
	f.Fuzz(func(t *testing.T, line string) {
		if a, err := parseAvahi(line); err == nil && !a.IsValid() {
			t.Errorf("%q gives no address and no error", line)
		}
	})
}
