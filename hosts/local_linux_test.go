package hosts_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

const avahiConf = `[server]
host-name=%s
use-ipv4=yes
use-ipv6=yes
enable-dbus=no
allow-interfaces=eth0
[wide-area]
enable-wide-area=no
[publish]
publish-addresses=yes
publish-hinfo=no
publish-workstation=no
`

// avahi runs the Avahi daemon on a host, which answers for NAME.local there, and
// asks for the programs of that host. It has its socket in the host's own /run.
func (w *world) avahi(host string) *exec.Cmd {
	w.t.Helper()
	bin, err := exec.LookPath("avahi-daemon")
	if err != nil {
		w.t.Skip("the names of other hosts need avahi-daemon:", err)
	}
	conf := w.path(host + ".avahi")
	w.do(os.WriteFile(conf, []byte(strings.Replace(avahiConf, "%s", host, 1)), 0o644))
	cmd := w.beside(host, bin, "-f", conf, "--no-drop-root", "--no-chroot", "--no-rlimits", "--no-proc-title")
	w.until("Avahi of "+host, back, func() bool {
		text, _ := os.ReadFile(w.path("avahi-daemon." + host + ".log"))
		return strings.Contains(string(text), "Server startup complete")
	})
	return cmd
}

// listeners is a network of the program as it is released. Alice ticks, bob
// listens, and each has nothing but the other's .local name.
func listeners(t *testing.T) *world {
	t.Helper()
	w := newWorld(t, "kozo",
		member{name: "alice", address: "alice.local", roles: "{timer: {tick: 0.1}}"},
		member{name: "bob", address: "bob.local", roles: "{cuckoo: {}}", block: "    roleStorage: .\n"})
	f, err := elf.Open(w.kozo)
	w.do(err)
	defer f.Close()
	if libraries, err := f.ImportedLibraries(); len(libraries) > 0 || f.Section(".interp") != nil {
		t.Fatalf("the program is not static: it needs %v, %v", libraries, err)
	}
	return w
}

// onlyAvahiAsks lets no question out that another program asks: these come from
// a port of their own.
const onlyAvahiAsks = "udp dport 5353 udp sport != 5353 drop"

// onlyOthersAsk lets none out that Avahi asks; it may answer.
const onlyOthersAsk = "udp sport 5353 udp dport 5353 drop"

// The names of the hosts are resolved by real multicast, and lead to the nodes.
func TestLocalNames(t *testing.T) {
	t.Parallel()
	t.Run("without Avahi", func(t *testing.T) {
		t.Parallel()
		w := listeners(t)
		// Alice has none to ask. Nobody answers for her name: she cannot be dialled.
		w.avahi("bob")
		w.start("alice", "bob")
		t.Logf("up after %v", w.until("the link", back, func() bool { return w.link("alice", "bob").State == "up" }))
		w.leads("alice", "bob.local:9001")
		w.until("bob to say why he does not dial", back, func() bool {
			l := w.link("bob", "alice")
			return l.Rides && strings.Contains(l.Targets[0].Error, "no machine of the local network answers to this name")
		})
	})
	t.Run("with Avahi", func(t *testing.T) {
		t.Parallel()
		w := listeners(t)
		for _, name := range []string{"alice", "bob"} {
			w.avahi(name)
			w.do(w.hosts[name].Filter("", onlyAvahiAsks))
		}
		w.start("alice", "bob")
		t.Logf("up after %v", w.until("both links", back, func() bool {
			a, b := w.link("alice", "bob"), w.link("bob", "alice")
			return a.State == "up" && b.State == "up" && !a.Rides && !b.Rides
		}))
		w.leads("alice", "bob.local:9001")
		w.leads("bob", "alice.local:9001")
	})
	t.Run("with Avahi that hangs", func(t *testing.T) {
		t.Parallel()
		w := listeners(t)
		w.avahi("bob")
		w.do(w.avahi("alice").Process.Signal(syscall.SIGSTOP))
		w.do(w.hosts["alice"].Filter("", onlyOthersAsk))
		w.start("alice", "bob")
		t.Logf("up after %v", w.until("the link", back, func() bool { return w.link("alice", "bob").State == "up" }))
		w.leads("alice", "bob.local:9001")
	})
	t.Run("of a host that moves", func(t *testing.T) {
		t.Parallel()
		w := listeners(t)
		w.avahi("bob")
		w.start("alice", "bob")
		w.until("the link", back, func() bool { return w.link("alice", "bob").State == "up" })
		w.do(w.hosts["bob"].Address("10.77.0.99/24"))
		t.Logf("back after %v", w.until("the link to the new address", death+2*back, func() bool {
			l := w.link("alice", "bob")
			return l.State == "up" && l.Connects == 2 && !l.Rides
		}))
		w.leads("alice", "bob.local:9001")
	})
}

// leads checks that a link has dialled a name, and that messages go over it.
func (w *world) leads(from, endpoint string) {
	w.t.Helper()
	l := w.link(from, strings.TrimSuffix(endpoint, ".local:9001"))
	if l.Endpoint != endpoint || l.Rides {
		w.t.Errorf("the link of %s: %+v", from, l)
	}
	if from == "alice" {
		before := w.link("bob", "alice").In.Accepted
		w.until("ticks", back, func() bool { return w.link("bob", "alice").In.Accepted > before+5 })
	}
}
