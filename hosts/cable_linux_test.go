package hosts_test

import (
	"fmt"
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
	w.account("alice", "bob")
	w.account("bob", "alice")
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
	w.account("alice", "bob")
	w.account("bob", "alice")
}

// Bob gets another address, of which alice learns from her hosts file, or which
// is in the configuration beside the old one. Bob does not dial her, so that he
// cannot be reached over his own connection.
func TestAddressChange(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		address string
		most    time.Duration
	}{
		// Go's resolver looks at the hosts file every 5 s.
		"name": {"bob.lab", death + 5*time.Second + back},
		// Of the old address alice hears nothing more. She does not wait for it.
		"list": {ip(1) + ", 10.77.0.99", death + head + busy},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "peer", member{name: "alice"}, member{name: "bob", address: c.address, block: "    selfToOthersConnectPolicy: never\n"})
			w.do(w.hosts["alice"].Names(ip(1) + " bob.lab\n"))
			w.start("alice", "bob")
			w.until("the link", back, func() bool { return w.link("alice", "bob").State == "up" })
			w.flow("alice", "bob", 20)
			w.do(w.hosts["bob"].Address("10.77.0.99/24"))
			w.do(w.hosts["alice"].Names("10.77.0.99 bob.lab\n"))
			took := w.until("the link to the new address", c.most, func() bool {
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

// A firewall swallows what goes to the first addresses of bob, from the beginning.
func TestAddressesThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	for _, holes := range []int{1, 3} {
		t.Run(fmt.Sprint(holes), func(t *testing.T) {
			t.Parallel()
			var addresses []string
			for i := range holes {
				addresses = append(addresses, fmt.Sprintf("%s:%d", ip(1), 7001+i))
			}
			w := newWorld(t, "peer", member{name: "alice"}, member{name: "bob",
				address: strings.Join(append(addresses, ip(1)), ", "), block: "    selfToOthersConnectPolicy: never\n"})
			w.do(w.hosts["bob"].Filter("tcp dport 7001-7009 drop", ""))
			w.start("alice", "bob")
			took := w.until("the link", time.Duration(holes)*head+busy, func() bool { return w.link("alice", "bob").State == "up" })
			t.Logf("up after %v", took)
			l := w.link("alice", "bob")
			for i, target := range l.Targets[:holes] {
				if target.Error != "no answer after 1s" || target.Tried == nil {
					t.Errorf("address %d: %+v", i+1, target)
				}
			}
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
		late    time.Duration // until bob rides
	}{
		"firewall":             {"", "ct state established,related accept\nip protocol tcp drop", "no answer", head},
		"firewall that denies": {"", "ct state established,related accept\nip protocol tcp reject with tcp reset", "refused", 0},
		"no such address":      {"10.77.0.200", "", "no route to host", head},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "peer", member{name: "alice", address: c.address}, member{name: "bob"})
			w.do(w.hosts["alice"].Filter(c.filter, ""))
			w.start("alice", "bob")
			t.Logf("up after %v", w.whole(c.late+busy))
			w.ride(c.says)
			w.flow("alice", "bob", 50)
			w.flow("bob", "alice", 50)
			w.do(w.hosts["alice"].Pull())
			w.dead(death+heartbeat, silence)
			w.do(w.hosts["alice"].Plug())
			t.Logf("back after %v", w.whole(syn+c.late+busy))
			w.ride(c.says)
			w.flow("bob", "alice", 50)
			w.hush()
			w.account("alice", "bob")
			w.account("bob", "alice")
		})
	}
}

// ride checks that bob rides on the connection of alice. What is wrong with his own
// way he may learn a little later.
func (w *world) ride(says string) {
	w.t.Helper()
	if l := w.link("alice", "bob"); l.Rides {
		w.t.Errorf("alice rides: %+v", l)
	}
	if l := w.link("bob", "alice"); !l.Rides {
		w.t.Errorf("bob does not ride: %+v", l)
	}
	w.until("bob to know that "+says, back, func() bool {
		l := w.link("bob", "alice")
		return len(l.Targets) == 1 && strings.Contains(l.Targets[0].Error, says)
	})
}
