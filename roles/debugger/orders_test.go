package debugger

import (
	"net"
	"strings"
	"testing"

	"kozo"
)

// A second order finds the session that is open.
func TestTwoOrders(t *testing.T) {
	n := newNode(t)
	role := n.run(nil)
	if first, second := order(t, role), order(t, role); first != second {
		t.Errorf("the sessions are %s and %s", first, second)
	}
	if !strings.Contains(said(role), "and one is open") {
		t.Errorf("the role says %s", said(role))
	}
}

// Whoever asks all the time fills no log.
func TestManyOrders(t *testing.T) {
	n := newNode(t)
	role := n.run(nil)
	order(t, role)
	m, err := kozo.NewOrder("debug", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		role.Deliver(m)
	}
	role.Wait("all orders to be read", func() bool { return role.Waiting() == 0 })
	if err := role.Stop(); err != nil {
		t.Error(err)
	}
	if lines := strings.Count(role.Log(), "\n"); lines > 10 {
		t.Errorf("%d lines in the log", lines)
	}
}

// With a channel, only the orders on that channel are meant.
func TestChannel(t *testing.T) {
	n := newNode(t)
	role := n.run(kozo.Values{"channel": "workshop"})
	for channel, want := range map[string]bool{"": false, "attic": false, "workshop": true} {
		m, err := kozo.NewOrder("debug", channel, nil)
		if err != nil {
			t.Fatal(err)
		}
		if role.Deliver(m) != want {
			t.Errorf("an order on the channel %q is wanted: %v", channel, !want)
		}
	}
	waitFor(role, "a debugging session is open")
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	n := newNode(t)
	role := n.run(kozo.Values{"port": l.Addr().(*net.TCPAddr).Port})
	m, err := kozo.NewOrder("debug", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	role.Deliver(m)
	waitFor(role, "address already in use")
}
