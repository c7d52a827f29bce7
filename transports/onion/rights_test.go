package onion

import (
	"bufio"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"kozo"
	"kozo/internal/torlab"
)

// A Tor that wants a password, and whose cookie cannot be read.
func TestPasswordOfTheControlPort(t *testing.T) {
	t.Parallel()
	w := lab(t)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	said, err := exec.Command("env", "PATH="+os.Getenv("PATH")+":/usr/sbin", "tor", "--hush", "--hash-password", "tick").Output()
	hash := regexp.MustCompile(`(?m)^16:\w+$`).Find(said)
	if err != nil || hash == nil {
		t.Fatalf("tor says %q, %v", said, err)
	}
	tor, err := w.net.Client(ctx, torlab.Client{Name: "locked", Lost: true, Lines: []string{"HashedControlPassword " + string(hash)}})
	if err != nil {
		t.Fatal(err)
	}
	defer tor.Stop()
	if err := os.Remove(filepath.Join(tor.Dir(), "control_auth_cookie")); err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]string{
		"":         "the cookie of tor's control port cannot be read",
		"tock\n":   "tor does not take the password; correct it in the file of controlPasswordFile",
		"tick\n":   "tor is still starting: ",
		"tick\r\n": "tor is still starting: ",
	} {
		v := kozo.Values{"controlPort": tor.Control(), "keyFile": kozo.Path(t.TempDir() + "/keys"), "port": freePort(t)}
		if password != "" {
			file := filepath.Join(t.TempDir(), "password")
			if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
				t.Fatal(err)
			}
			v["controlPasswordFile"] = kozo.Path(file)
		}
		announced, err := newTransport(t, v).Announce(&kozo.TransportEnv{})
		if err != nil {
			t.Fatal(err)
		}
		v["address"] = announced["address"]
		l, err := newTransport(t, v).Listen(ctx, testEnv(t, "home"))
		if err == nil {
			_ = l.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || password == "" && !strings.Contains(err.Error(), "wants a password") {
			t.Errorf("with the password %q: %v, want %q", password, err, want)
		}
	}
}

// The same key twice at one Tor.
func TestServiceThatIsThereAlready(t *testing.T) {
	w := lab(t)
	v := w.own(t, nil)
	serve(t, newTransport(t, v), testEnv(t, "home"))
	v["port"] = freePort(t)
	l, err := newTransport(t, v).Listen(t.Context(), testEnv(t, "home"))
	if err == nil {
		_ = l.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "this tor has the onion service already") {
		t.Errorf("the second one: %v", err)
	}
}

// A node whose key is no longer in the file cannot find the service any more, and
// finds it again when its new one is there.
func TestKeyThatLeavesTheFile(t *testing.T) {
	w := lab(t)
	key := func() *transport {
		t.Helper()
		v := w.outgoing()
		v["controlPort"], v["keyFile"] = w.away.Control(), kozo.Path(filepath.Join(t.TempDir(), "keys"))
		announced, err := newTransport(t, v).Announce(&kozo.TransportEnv{})
		if err != nil {
			t.Fatal(err)
		}
		v["clientKey"] = announced["clientKey"]
		return newTransport(t, v)
	}
	before, after := key(), key()
	tr := newTransport(t, w.own(t, kozo.Values{"clientAuth": true}))
	endpoint := tr.Endpoints()[0]
	l, ended := serve(t, tr, testEnv(t, "home", before))
	reach(t, before, testEnv(t, "laptop", tr), endpoint)
	_ = l.Close()
	<-ended

	serve(t, tr, testEnv(t, "home", after))
	for begun := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		err := echoes(before, testEnv(t, "laptop", tr), endpoint)
		if err == nil {
			t.Fatal("a key that is not in the file any more still finds the service")
		}
		if strings.Contains(err.Error(), "this node's clientKey is not among them") {
			break
		}
		if time.Since(begun) > 90*time.Second {
			t.Fatalf("with a key that is not in the file any more: %v", err)
		}
	}
	reach(t, after, testEnv(t, "laptop", tr), endpoint)
}

// The connections of one node to one peer share a path through Tor's network;
// others have their own, though they go through the same Tor.
func TestEachPeerHasItsOwnPath(t *testing.T) {
	w := lab(t)
	known := newTransport(t, w.known(t))
	serve(t, known, testEnv(t, "home"))
	own := newTransport(t, w.own(t, nil))
	serve(t, own, testEnv(t, "home"))
	away := newTransport(t, w.outgoing())
	reach(t, away, testEnv(t, "alice"), own.Endpoints()[0])
	for _, c := range []struct {
		node kozo.NodeName
		to   *transport
	}{{"alice", known}, {"alice", known}, {"alice", own}, {"bob", known}} {
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		conn, err := away.Dial(ctx, testEnv(t, c.node), c.to.Endpoints()[0])
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	// ID SUCCEEDED CIRCUIT HOST:PORT …
	stream := regexp.MustCompile(`^\d+ SUCCEEDED (\d+) (\S+):\d+`)
	paths := map[string]int{} // streams by circuit and host
	for _, line := range ask(t, w.away, "GETINFO stream-status") {
		if m := stream.FindStringSubmatch(strings.TrimPrefix(line, "250-stream-status=")); m != nil {
			paths[m[1]+" "+m[2]]++
		}
	}
	circuits := strings.Join(ask(t, w.away, "GETINFO circuit-status"), "\n")
	var shared int
	for _, n := range paths {
		if n == 2 {
			shared++
		}
	}
	if len(paths) != 3 || shared != 1 {
		t.Errorf("the streams by circuit and host: %v", paths)
	}
	for _, c := range []struct{ node, endpoint string }{
		{"alice", known.Endpoints()[0]}, {"alice", own.Endpoints()[0]}, {"bob", known.Endpoints()[0]},
	} {
		if !strings.Contains(circuits, fmt.Sprintf(`SOCKS_USERNAME="kozo %s" SOCKS_PASSWORD="%s `, c.node, c.endpoint)) {
			t.Errorf("no circuit is for %s and %s:\n%s", c.node, c.endpoint, circuits)
		}
	}
}

// ask sends a command to the control port of a tor, and returns the lines of the
// answer.
func ask(t *testing.T, tor *torlab.Tor, command string) (answer []string) {
	t.Helper()
	cookie, err := os.ReadFile(filepath.Join(tor.Dir(), "control_auth_cookie"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", tor.Control())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(c, "AUTHENTICATE %s\r\n%s\r\nQUIT\r\n", hex.EncodeToString(cookie), command); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(c); lines.Scan(); {
		answer = append(answer, lines.Text())
	}
	return answer
}
