package hosts_test

import (
	"strings"
	"testing"
	"time"
)

// silence is why a link is down of which no packet arrives any more.
const silence = "nothing received for 5s"

func couple(t *testing.T) *world {
	t.Helper()
	return newWorld(t, "peer", member{name: "alice"}, member{name: "bob"})
}

// A cable that is out for a moment costs nothing.
func TestCablePulledForAMoment(t *testing.T) {
	t.Parallel()
	w := couple(t)
	w.start("alice", "bob")
	w.whole(back)
	w.flow("alice", "bob", 20)
	w.do(w.hosts["bob"].Pull())
	time.Sleep(time.Second) // how long the cable is out
	w.do(w.hosts["bob"].Plug())
	w.flow("alice", "bob", 100)
	w.flow("bob", "alice", 100)
	w.steady("alice", "bob")
	w.steady("bob", "alice")
	w.hush()
	if lost := w.account("alice", "bob") + w.account("bob", "alice"); lost > 0 {
		t.Errorf("%d messages were lost", lost)
	}
}

// A cable that is out for longer than a connection lives.
func TestCablePulled(t *testing.T) {
	t.Parallel()
	w := couple(t)
	w.start("alice", "bob")
	w.whole(back)
	w.flow("alice", "bob", 20)
	w.do(w.hosts["bob"].Pull())
	w.dead(death+heartbeat, silence)
	w.until("the address not to be reached", back, func() bool {
		l := w.link("alice", "bob")
		return len(l.Targets) == 1 && (strings.Contains(l.Targets[0].Error, "no route to host") || strings.Contains(l.Targets[0].Error, "no answer"))
	})
	w.do(w.hosts["bob"].Plug())
	t.Logf("back after %v", w.whole(back))
	w.flow("alice", "bob", 50)
	w.hush()
	w.account("alice", "bob")
	w.account("bob", "alice")
}

// dead waits until both links between alice and bob are down, and say why.
func (w *world) dead(limit time.Duration, why string) {
	w.t.Helper()
	for _, pair := range [][2]string{{"alice", "bob"}, {"bob", "alice"}} {
		seen := ""
		took := w.until(pair[0]+" to notice", limit, func() bool {
			l := w.link(pair[0], pair[1])
			seen = l.Reason
			return l.State != "up"
		})
		w.t.Logf("%s noticed after %v more: %s", pair[0], took, seen)
		if !strings.Contains(seen, why) {
			w.t.Errorf("the link of %s is down because of %q", pair[0], seen)
		}
	}
}

// What one sends does not arrive, while the other way works.
func TestOneWayLoss(t *testing.T) {
	t.Parallel()
	for i, deaf := range []string{"alice", "bob"} {
		t.Run(deaf+" is deaf", func(t *testing.T) {
			t.Parallel()
			w := couple(t)
			w.start("alice", "bob")
			w.whole(back)
			w.flow("alice", "bob", 20)
			w.do(w.hosts[deaf].Filter("ip saddr "+ip(1-i)+" drop", ""))
			w.dead(3*heartbeat+time.Second, silence)
			w.do(w.hosts[deaf].Filter("", ""))
			t.Logf("back after %v", w.whole(back))
			w.flow("alice", "bob", 50)
			w.hush()
			w.account("alice", "bob")
			w.account("bob", "alice")
		})
	}
}

// Of all packets one in ten gets lost, both ways.
func TestPacketLoss(t *testing.T) {
	t.Parallel()
	w := couple(t)
	w.start("alice", "bob")
	w.whole(back)
	for _, h := range w.hosts {
		w.do(h.Filter("numgen random mod 100 < 10 drop", ""))
	}
	for range 4 {
		w.flow("alice", "bob", 50)
		w.flow("bob", "alice", 50)
	}
	w.steady("alice", "bob")
	w.steady("bob", "alice")
	w.hush()
	if lost := w.account("alice", "bob") + w.account("bob", "alice"); lost > 0 {
		t.Errorf("%d messages were lost", lost)
	}
}

// Bob gets another address, of which alice learns from her hosts file, or which
// is in the configuration beside the old one. Bob does not dial her, so that he
// cannot be reached over his own connection.
func TestAddressChange(t *testing.T) {
	t.Parallel()
	for what, address := range map[string]string{"name": "bob.lab", "list": ip(1) + ", 10.77.0.99"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "peer", member{name: "alice"}, member{name: "bob", address: address, block: "    selfToOthersConnectPolicy: never\n"})
			w.do(w.hosts["alice"].Names(ip(1) + " bob.lab\n"))
			w.start("alice", "bob")
			w.until("the link", back, func() bool { return w.link("alice", "bob").State == "up" })
			w.flow("alice", "bob", 20)
			w.do(w.hosts["bob"].Address("10.77.0.99/24"))
			w.do(w.hosts["alice"].Names("10.77.0.99 bob.lab\n"))
			// Go's resolver looks at the hosts file every 5 s.
			took := w.until("the link to the new address", death+5*time.Second+back, func() bool {
				l := w.link("alice", "bob")
				return l.State == "up" && l.Connects == 2 && !l.Rides
			})
			t.Logf("back after %v", took)
			w.flow("alice", "bob", 50)
			w.hush()
			w.account("alice", "bob")
		})
	}
}

// Bob cannot dial alice: his messages ride on the connection that she makes to
// him, and when it breaks, on the next one.
func TestOneCannotDial(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		address string // of alice
		filter  string // for what arrives at her
		says    string
	}{
		"firewall":             {"", "ct state established,related accept\nip protocol tcp drop", "no answer"},
		"firewall that denies": {"", "ct state established,related accept\nip protocol tcp reject with tcp reset", "refused"},
		"no such address":      {"10.77.0.200", "", "no route to host"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "peer", member{name: "alice", address: c.address}, member{name: "bob"})
			w.do(w.hosts["alice"].Filter(c.filter, ""))
			w.start("alice", "bob")
			// Bob finds out that he cannot dial before he rides.
			t.Logf("up after %v", w.whole(back+10*time.Second))
			w.ride(c.says)
			w.flow("alice", "bob", 50)
			w.flow("bob", "alice", 50)
			w.do(w.hosts["alice"].Pull())
			w.dead(death+heartbeat, silence)
			w.do(w.hosts["alice"].Plug())
			t.Logf("back after %v", w.whole(back+10*time.Second))
			w.ride(c.says)
			w.flow("bob", "alice", 50)
			w.hush()
			w.account("alice", "bob")
			w.account("bob", "alice")
		})
	}
}

func (w *world) ride(says string) {
	w.t.Helper()
	if l := w.link("alice", "bob"); l.Rides {
		w.t.Errorf("alice rides: %+v", l)
	}
	l := w.link("bob", "alice")
	if !l.Rides || len(l.Targets) != 1 || !strings.Contains(l.Targets[0].Error, says) {
		w.t.Errorf("bob does not ride because of %q: %+v", says, l)
	}
}
