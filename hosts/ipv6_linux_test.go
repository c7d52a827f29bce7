package hosts_test

import (
	"strings"
	"testing"
)

// Bob is reached over IPv6 alone, also at an address that is of one cable only and
// needs the name of the interface, and with a port of its own.
func TestIPv6(t *testing.T) {
	t.Parallel()
	for written, endpoint := range map[string]string{
		"fd00:77::2":                "[fd00:77::2]:9001",
		"fe80::77:2%eth0":           "[fe80::77:2%eth0]:9001",
		"[fe80::77:2%eth0]:7001":    "[fe80::77:2%eth0]:7001",
		"10.77.0.200, [fd00:77::2]": "[fd00:77::2]:9001",
		"bob.lab":                   "bob.lab:9001",
	} {
		t.Run(written, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "peer", member{name: "alice"}, member{name: "bob", address: written, block: "    selfToOthersConnectPolicy: never\n"})
			w.do(w.hosts["alice"].Names("fd00:77::2 bob.lab\n"))
			for name, addresses := range map[string][]string{"alice": {"fd00:77::1/64", "fe80::77:1/64"}, "bob": {"fd00:77::2/64", "fe80::77:2/64"}} {
				for _, address := range addresses {
					w.do(w.hosts[name].Command("ip", "addr", "add", address, "dev", "eth0", "nodad").Run())
				}
			}
			if strings.HasSuffix(written, ":7001") { // which is forwarded to the one that bob listens on
				w.do(w.hosts["bob"].Command("nft", "add table ip6 door; add chain ip6 door in { type nat hook prerouting priority -100; }; add rule ip6 door in tcp dport 7001 redirect to :9001").Run())
			}
			w.start("alice", "bob")
			t.Logf("up after %v", w.until("the link", back, func() bool { return w.link("alice", "bob").State == "up" }))
			if l := w.link("alice", "bob"); l.Endpoint != endpoint || l.Rides {
				t.Errorf("it has dialled %s: %+v", l.Endpoint, l)
			}
			w.flow("alice", "bob", 50)
			w.hush()
			w.account("alice", "bob")
		})
	}
}
