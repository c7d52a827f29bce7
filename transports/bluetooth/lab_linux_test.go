package bluetooth

import (
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"kozo"
	"kozo/internal/bluez"
	"kozo/internal/vmlab"
	"kozo/kozotest"
)

// The addresses of the controllers of the lab.
const (
	hci0 = "00:AA:01:00:00:00"
	hci1 = "00:AA:01:01:00:01"
)

const otherUUID = "6f9f2a4e-3c1d-4f0b-9a52-0d6c5b1e7a12"

const patience = 30 * time.Second

func TestInLab(t *testing.T) {
	vmlab.Run(t, vmlab.Lab{Controllers: 2}, func(t *testing.T) {
		awaitAdapters(t, 2)
		t.Run("conformance", testConformance)
		t.Run("searching", testSearching)
		t.Run("nobody offers it", testNobodyOffers)
		t.Run("other adapter", testOtherAdapter)
		t.Run("all adapters", testAllAdapters)
		t.Run("backlog", testBacklog)
		t.Run("visibility", testVisibility)
		t.Run("losses", testLosses)
	})
}

// awaitAdapters waits until bluetoothd has so many adapters.
func awaitAdapters(t *testing.T, n int) {
	t.Helper()
	vmlab.Eventually(t, patience, "bluetoothd has its adapters", func() bool {
		b, err := bluez.Open(t.Context())
		if err != nil {
			return false
		}
		defer b.Close()
		return len(b.Adapters()) == n
	})
}

// Between two adapters there can be one connection each way.
func testConformance(t *testing.T) {
	kozotest.TestTransport(t, kozotest.TransportTest{
		Type:    Type(),
		Options: values("address", hci0, "adapter", "hci0"),
		Dialer:  values("uuid", otherUUID, "adapter", "hci1"),
		Silent: func(testing.TB) string {
			return "00:AA:01:FF:FF:FF/" + testUUID
		},
		Conns: 1, Bytes: 256 << 10, Buffer: 4 << 20, Patience: patience,
	})
}

func testEnv(t *testing.T) *kozo.TransportEnv {
	return &kozo.TransportEnv{Node: "lab", Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func listen(t *testing.T, pairs ...string) net.Listener {
	t.Helper()
	l, err := newTransport(t, pairs...).Listen(t.Context(), testEnv(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func dial(t *testing.T, tr *transport, endpoint string) (net.Conn, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := tr.Dial(ctx, testEnv(t), endpoint)
	if err == nil {
		t.Cleanup(func() { c.Close() })
	}
	return c, err
}

// openBus is another program that looks at the adapters, and changes them.
func openBus(t *testing.T) *bluez.Bus {
	t.Helper()
	b, err := bluez.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func testSearching(t *testing.T) {
	l := listen(t, "adapter", "hci0")
	dialler := newTransport(t, "uuid", otherUUID, "adapter", "hci1")
	c, err := dial(t, dialler, testUUID)
	if err != nil {
		t.Fatal(err)
	}
	other, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if c.RemoteAddr().String() != hci0 || other.RemoteAddr().String() != hci1 {
		t.Errorf("%v has connected to %v", other.RemoteAddr(), c.RemoteAddr())
	}
}

// Whoever is asked in vain is not asked again soon, nor is there another search.
func testNobodyOffers(t *testing.T) {
	listen(t, "adapter", "hci0")
	dialler := newTransport(t, "uuid", otherUUID, "adapter", "hci1")
	const nobodys = "6f9f2a4e-3c1d-4f0b-9a52-0d6c5b1e7a99"
	if _, err := dial(t, dialler, nobodys); err == nil || !strings.Contains(err.Error(), "no device in range offers the service; 1 were asked") {
		t.Errorf("the first time: %v", err)
	}
	start := time.Now()
	if _, err := dial(t, dialler, nobodys); err == nil || !strings.Contains(err.Error(), "the next one is in") {
		t.Errorf("the second time: %v", err)
	}
	if took := time.Since(start); took > shortSearch {
		t.Errorf("the second time it took %v", took)
	}
}

// bluetoothd offers a service on all adapters, and the transport only on its own.
func testOtherAdapter(t *testing.T) {
	l := listen(t, "adapter", "hci0")
	accepted := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			accepted <- c
		}
		close(accepted)
	}()
	b := openBus(t)
	if err := b.SetDiscoverable(t.Context(), b.Adapters()[1], true); err != nil {
		t.Fatal(err)
	}
	c, err := dial(t, newTransport(t, "uuid", otherUUID, "adapter", "hci0"), hci1+"/"+testUUID)
	if err == nil {
		c.SetReadDeadline(time.Now().Add(patience))
		if _, err := c.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("reading says %v", err)
		}
	}
	l.Close()
	if c := <-accepted; c != nil {
		t.Errorf("%v was accepted on %v", c.RemoteAddr(), c.LocalAddr())
	}
}

func testVisibility(t *testing.T) {
	b := openBus(t)
	a := b.Adapters()[0]
	visible := func(want bool, when string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := b.Await(ctx, func() bool { now, _ := b.Adapter(a.Path); return now.Discoverable == want }); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	if err := b.SetDiscoverable(t.Context(), a, false); err != nil {
		t.Fatal(err)
	}
	visible(false, "before")
	l := listen(t, "adapter", "hci0")
	visible(true, "while it listens")
	if err := b.SetDiscoverable(t.Context(), a, false); err != nil {
		t.Fatal(err)
	}
	visible(false, "when somebody hides it")
	visible(true, "a moment later")
	l.Close()
	visible(false, "afterwards, as before")
}

func testLosses(t *testing.T) {
	for want, lose := range map[string]func() (restore func()){
		"bluetoothd has ended": func() func() {
			vmlab.Bluetoothd.Stop(t)
			return func() { vmlab.Bluetoothd.Start(t) }
		},
		"Bluetooth adapter": func() func() { // without power, gone, or the last one gone: whatever is seen first
			vmlab.Radio.Stop(t)
			return func() { vmlab.Radio.Start(t) }
		},
		"the D-Bus system bus has ended": func() func() {
			vmlab.Bus.Stop(t)
			vmlab.Bluetoothd.Stop(t) // it would end by itself
			return func() { vmlab.Bus.Start(t); vmlab.Bluetoothd.Start(t) }
		},
		"hci0 was switched off": func() func() {
			vmlab.Block(t, "hci0", true)
			return func() {
				if l, err := newTransport(t, "adapter", "hci0").Listen(t.Context(), testEnv(t)); err == nil {
					l.Close()
					t.Error("a blocked adapter can listen")
				} else if !strings.Contains(err.Error(), "rfkill unblock bluetooth") {
					t.Errorf("a blocked adapter: %v", err)
				}
				vmlab.Block(t, "hci0", false)
			}
		},
	} {
		l := listen(t, "adapter", "hci0")
		restore := lose()
		if c, err := l.Accept(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("accepting gives %v, and %v does not say %q", c, err, want)
		}
		l.Close()
		restore()
		awaitAdapters(t, 2)
		listen(t, "adapter", "hci0").Close()
	}
}
