package bluetooth

import (
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"kozo/internal/vmlab"
)

// Whoever does not say which adapter is seen, listens and dials with all of them.
func testAllAdapters(t *testing.T) {
	b := openBus(t)
	for _, a := range b.Adapters() {
		if err := b.SetDiscoverable(t.Context(), a, false); err != nil {
			t.Fatal(err)
		}
	}
	l := listen(t)
	for _, a := range b.Adapters() {
		if !a.Discoverable {
			t.Errorf("%s is not visible", a.Name)
		}
	}
	for _, address := range []string{hci0, hci1} {
		c := mustDial(t, newTransport(t, "uuid", otherUUID), address+"/"+testUUID)
		far, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if c.RemoteAddr().String() != address || far.LocalAddr().String() != address {
			t.Errorf("who dials %s has %v, and the other end is on %v", address, c.RemoteAddr(), far.LocalAddr())
		}
		c.Close()
		far.Close()
	}
}

// mustDial dials until it works: a channel is busy until the radios have agreed
// that the last connection over it is over.
func mustDial(t *testing.T, tr *transport, endpoint string) (c net.Conn) {
	t.Helper()
	var err error
	vmlab.Eventually(t, patience, "dialling works", func() bool {
		c, err = dial(t, tr, endpoint)
		if err != nil {
			t.Log(err)
		}
		return err == nil
	})
	return c
}

// queue is a listener that does not accept, and how many wait there.
type queue struct {
	*listener
	files, daemonFiles int // open before
}

// hoard listens on all adapters. A backlog of 0 is the default.
func hoard(t *testing.T, backlog int) queue {
	t.Helper()
	v := values()
	v["socketConnectionBacklog"] = backlog
	tr, err := Type().New(v)
	if err != nil {
		t.Fatal(err)
	}
	q := queue{files: openFiles(t), daemonFiles: vmlab.Bluetoothd.Files(t)}
	l, err := tr.Listen(t.Context(), testEnv(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	q.listener = l.(*listener)
	return q
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// await waits until so many connections wait.
func (q queue) await(t *testing.T, n int) {
	t.Helper()
	vmlab.Eventually(t, patience, "it waits to be accepted", func() bool { return len(q.conns) == n })
}

// accept takes the next one, which must have sent a certain byte.
func (q queue) accept(t *testing.T, want byte) net.Conn {
	t.Helper()
	c, err := q.Accept()
	if err != nil {
		t.Fatal(err)
	}
	said(t, c, want)
	return c
}

func said(t *testing.T, c net.Conn, want byte) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	got := []byte{0}
	if _, err := io.ReadFull(c, got); err != nil || got[0] != want {
		t.Fatalf("%v says %d, %v instead of %d", c.RemoteAddr(), got[0], err, want)
	}
}

// ended waits until the other side has closed a connection.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(patience))
	if n, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("instead of the end it reads %d bytes, %v", n, err)
	}
	c.Close()
}

// turnedAway dials and is closed by the other side, which may be before bluetoothd
// has handed the connection over here.
func turnedAway(t *testing.T, tr *transport, endpoint string) {
	t.Helper()
	vmlab.Eventually(t, patience, "somebody is turned away", func() bool {
		c, err := dial(t, tr, endpoint)
		if err != nil {
			t.Log(err)
			return strings.Contains(err.Error(), "it broke off")
		}
		ended(t, c)
		return true
	})
}

// leftNothing waits until neither this process nor bluetoothd, which has a
// descriptor of each connection too, has more files open than before.
func (q queue) leftNothing(t *testing.T) {
	t.Helper()
	vmlab.Eventually(t, patience, "no file is left open", func() bool {
		return openFiles(t) <= q.files && vmlab.Bluetoothd.Files(t) <= q.daemonFiles
	})
}

// As many connections wait as may while nobody accepts; the others are closed, and
// those that wait do not notice: neither those that hang up, nor what they sent. It
// is all real but for the listener being asked how many wait, which tells when
// bluetoothd has handed one over.
func testBacklog(t *testing.T) {
	for option, bound := range map[int]int{0: 16, 2: 2} { // none given is the default
		t.Run(strconv.Itoa(bound), func(t *testing.T) {
			q := hoard(t, option)
			tr := newTransport(t, "uuid", otherUUID, "adapter", "hci1")
			for i := range bound {
				c := mustDial(t, tr, hci0+"/"+testUUID)
				c.Write([]byte{byte(i)})
				q.await(t, i+1)
				c.Close()
			}
			for range 3 {
				turnedAway(t, tr, hci0+"/"+testUUID)
			}
			for i := range bound {
				q.accept(t, byte(i)).Close()
			}
			last := mustDial(t, tr, hci0+"/"+testUUID)
			last.Write([]byte{99})
			q.accept(t, 99).Close()
			last.Close()
			q.Close()
			if c, err := q.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("afterwards accepting gives %v, %v", c, err)
			}
			q.leftNothing(t)
		})
	}
}
