package testnets_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"kozo/internal/torlab"
)

// shows waits until what kozo status prints for a node, in one line, matches.
func (r *running) shows(node, pattern string) {
	r.t.Helper()
	find := regexp.MustCompile(pattern)
	var text string
	r.until("kozo status of "+node+" to show "+pattern, func() bool {
		cmd := exec.Command(os.Args[0], "status", "--node", node)
		cmd.Env = r.env
		out, _ := cmd.Output()
		text = strings.Join(strings.Fields(string(out)), " ")
		return find.MatchString(text)
	})
	r.t.Log(find.FindString(text))
}

// What is wrong with Tor is what kozo status shows of the link, and of the service
// that is to be listened at.
func TestTroubleWithTorIsShown(t *testing.T) {
	tors(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	onionnet := func(t *testing.T, tor *torlab.Tor) *running {
		t.Helper()
		return start(t, "testnet", copied(t, "onionnet/config.yml", "127.0.0.1:9050", tor.Socks(), "127.0.0.1:9051", tor.Control()))
	}
	t.Run("starting", func(t *testing.T) {
		tor, err := shared.net.Client(ctx, torlab.Client{Name: "starting", Lost: true})
		if err != nil {
			t.Fatal(err)
		}
		defer tor.Stop()
		r := onionnet(t, tor)
		r.shows("clock", `s ago tor is still starting: \d+ %`)
		r.shows("clock", `does not listen: tor is still starting: \d+ %`)
	})
	t.Run("clock", func(t *testing.T) {
		preload, _ := filepath.Glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
		if len(preload) == 0 {
			t.Skip("not installed: faketime, which makes the wrong clock")
		}
		tor, err := shared.net.Client(ctx, torlab.Client{Name: "late", Env: []string{"LD_PRELOAD=" + preload[0], "FAKETIME=-3d"}})
		if err != nil {
			t.Fatal(err)
		}
		defer tor.Stop()
		r := onionnet(t, tor)
		r.shows("clock", `s ago tor is still starting: \d+ %[^;]*; the clock of this machine is wrong`)
		r.shows("clock", `does not listen: [^;]*; the clock of this machine is wrong`)
	})
	t.Run("vanished", func(t *testing.T) {
		r := onionnet(t, shared.tors[0])
		r.says(0, `^scribe \| cuckoo! tick from timer1@clock`)
		pid := r.status("scribe").PID
		if pid == 0 {
			t.Fatal("the process of scribe is not known")
		}
		begun := time.Now()
		scribe, err := os.FindProcess(pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := scribe.Kill(); err != nil {
			t.Fatal(err)
		}
		r.shows("clock", `s ago (the service has vanished|tor found no way to the service in time)`)
		t.Logf("after %v", time.Since(begun).Round(time.Millisecond))
	})
}
