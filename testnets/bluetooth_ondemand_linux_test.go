package testnets_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"kozo/internal/status"
	"kozo/internal/vmlab"
)

// The link from clock to scribe, which is on demand, comes up for a message, and
// the message waits for as long as that takes. After a cut it stays down until
// there is another message. That from scribe to clock, over which nothing is to be
// sent, never comes up.
func testOnDemandBetweenMachines(t *testing.T) {
	me := vmlab.Machine()
	config := machineConfig(t,
		"tick: 1\n", "tick: 86400\n",
		"timer: timer1", "timer: \"\"", // it hears what is sent by hand
		"heartbeat: 5", "heartbeat: 1", "connectionRetry: 10", "connectionRetry: 0.5",
		"        transports:", "        selfToOthersConnectPolicy: ondemand\n        othersToSelfConnectPolicy: ondemand\n        transports:",
	)
	p := launch(t, "/tmp", "run", config, me)
	unused := func(l status.Link) bool { return l.State == "idle" && l.Connects == 0 }
	awaitLink(t, "the link is not used", unused)
	together(t, "idle")
	if me == "clock" {
		demand(t)
	} else {
		hears(t, p)
		vmlab.Await(t, "the link is up", airPatience)
		if err := p.cmd.Process.Kill(); err != nil { // with no goodbye
			t.Fatal(err)
		}
		vmlab.Await(t, "the link is down", airPatience)
		p = launch(t, "/tmp", "run", config, me)
		vmlab.Eventually(t, airPatience, "it listens again", func() bool {
			s, ok := ask(t, "/tmp", me)
			return ok && s.Transports[0].Listens != ""
		})
		vmlab.Post(t, "scribe is back")
		hears(t, p)
		awaitLink(t, "the link is still not used", unused)
	}
	together(t, "through on demand")
}

func hears(t *testing.T, p *program) {
	t.Helper()
	vmlab.Eventually(t, airPatience, "a message arrives", func() bool { return p.count("cuckoo! tick from kozo@clock") == 1 })
}

func tick(t *testing.T) {
	t.Helper()
	c := exec.Command("kozo", "send", "event", "tick", "--node", "clock")
	c.Env = append(os.Environ(), "KOZO_RUN_DIR=/tmp")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// demand is what happens at clock.
func demand(t *testing.T) {
	// Nothing can be sent for longer than messages wait usually: three heartbeats.
	const usual = 3 * time.Second
	vmlab.Bluetoothd.Stop(t)
	begun := time.Now()
	tick(t)
	l := awaitLink(t, "the message waits", func(l status.Link) bool {
		return time.Since(begun) > usual+time.Second && strings.Contains(l.Reason, "bluetoothd does not run")
	})
	if l.Out.Queued != 1 || l.Connects != 0 {
		t.Errorf("after %v: %+v", time.Since(begun), l)
	}
	vmlab.Bluetoothd.Start(t)
	delivered := func(n uint64) func(status.Link) bool {
		return func(l status.Link) bool {
			return l.State == "up" && l.Transport == "bluetooth" && l.Connects == n && l.Out.Delivered == n && l.Out.Sent == n
		}
	}
	begun = time.Now()
	awaitLink(t, "the message has arrived", delivered(1))
	t.Logf("it has arrived %v after bluetoothd came back", time.Since(begun).Round(time.Millisecond))

	vmlab.Post(t, "the link is up")
	down := func(l status.Link) bool { return l.State == "idle" && l.Connects == 1 }
	awaitLink(t, "the link is down after the cut", down)
	vmlab.Post(t, "the link is down")
	vmlab.Await(t, "scribe is back", airPatience)
	for begun := time.Now(); time.Since(begun) < usual; { // it would be tried several times
		if l := awaitLink(t, "the node answers", func(status.Link) bool { return true }); !down(l) {
			t.Fatalf("nothing is to be sent: %+v", l)
		}
	}
	begun = time.Now()
	tick(t)
	awaitLink(t, "another message has arrived", delivered(2))
	t.Logf("another one has arrived after %v", time.Since(begun).Round(time.Millisecond))
}
