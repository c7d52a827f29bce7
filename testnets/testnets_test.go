// Package testnets runs the networks of this directory as they are, and what
// needs real processes and a real Tor.
package testnets_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kozo/cli"
	"kozo/internal/status"
	"kozo/internal/torlab"
	"kozo/standard"
)

// asKozo makes a process of this test a kozo.
const asKozo = "KOZO_TESTNETS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asKozo) != "" {
		os.Exit(cli.Main(standard.Registry(), os.Args[1:]))
	}
	code := m.Run()
	if shared.net != nil {
		shared.net.Close()
		_ = os.RemoveAll(shared.dir)
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// lab is the Tor network that the tests share, with a Tor for each of two nodes.
type lab struct {
	once sync.Once
	err  error
	dir  string
	net  *torlab.Network
	tors [2]*torlab.Tor
}

var shared lab

func tors(t *testing.T) [2]*torlab.Tor {
	t.Helper()
	if missing := torlab.Missing(); len(missing) > 0 {
		t.Skip("not installed: ", strings.Join(missing, ", "))
	}
	shared.once.Do(func() { shared.err = shared.build() })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.tors
}

func (l *lab) build() error {
	ctx, cancel := context.WithTimeout(context.Background(), 120*time.Second)
	defer cancel()
	var err error
	if l.dir, err = os.MkdirTemp("", "kozo-tor-"); err != nil {
		return err
	}
	if l.net, err = torlab.New(ctx, l.dir); err != nil {
		return err
	}
	for i := range l.tors {
		if l.tors[i], err = l.net.Client(ctx, torlab.Client{Name: fmt.Sprintf("client%d", i)}); err != nil {
			return err
		}
	}
	for _, tor := range l.tors {
		if err := tor.Joined(ctx); err != nil {
			return err
		}
	}
	return nil
}

// running is a kozo in a process of its own.
type running struct {
	t    *testing.T
	env  []string
	cmd  *exec.Cmd
	done chan struct{}

	mu   sync.Mutex
	text strings.Builder
}

// start runs a kozo command until the end of the test.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	run, err := os.MkdirTemp("", "kz") // the path of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, done: make(chan struct{}), env: append(os.Environ(), asKozo+"=1", "KOZO_RUN_DIR="+run, "GORACE=atexit_sleep_ms=10")}
	out, in := io.Pipe()
	r.cmd = exec.Command(os.Args[0], args...)
	r.cmd.Env, r.cmd.Stdout, r.cmd.Stderr = r.env, in, in
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			r.mu.Lock()
			r.text.WriteString(lines.Text() + "\n")
			r.mu.Unlock()
		}
	})
	go func() {
		_ = r.cmd.Wait()
		_ = in.Close()
		reading.Wait()
		close(r.done)
	}()
	t.Cleanup(func() {
		r.stop()
		_ = os.RemoveAll(run)
		if t.Failed() {
			t.Log(r.output())
		}
	})
	return r
}

func (r *running) stop() {
	_ = r.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-r.done:
	case <-time.After(20 * time.Second):
		_ = r.cmd.Process.Kill()
		<-r.done
		r.t.Error("it did not stop")
	}
}

func (r *running) output() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

// says waits until the output matches, from some length on, and returns its
// length then.
func (r *running) says(from int, pattern string) int {
	r.t.Helper()
	find := regexp.MustCompile("(?m)" + pattern)
	r.until("the output to match "+pattern, func() bool { return find.MatchString(r.output()[from:]) })
	return len(r.output())
}

// patience is how long a test waits for what should come within seconds.
const patience = 120 * time.Second

func (r *running) until(what string, good func() bool) {
	r.t.Helper()
	for begun := time.Now(); !good(); time.Sleep(50 * time.Millisecond) {
		select {
		case <-r.done:
			r.t.Fatalf("it has ended instead of %s", what)
		default:
		}
		if time.Since(begun) > patience {
			r.t.Fatalf("waited %v in vain for %s", patience, what)
		}
	}
}

// status asks a node how it is; it is empty if the node does not answer.
func (r *running) status(node string) (s status.Node) {
	cmd := exec.Command(os.Args[0], "status", "--json", "--node", node)
	cmd.Env = r.env
	out, err := cmd.Output()
	if err == nil {
		_ = json.Unmarshal(out, &s)
	}
	return s
}

// copied puts a configuration of this directory, changed by replacing words, into
// a new directory.
func copied(t *testing.T, path string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(string(text), replace[i]) {
			t.Fatalf("%s does not have %q", path, replace[i])
		}
	}
	to := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(to, []byte(strings.NewReplacer(replace...).Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestLocalnet(t *testing.T) {
	r := start(t, "testnet", "localnet/config.yml")
	r.says(0, `^bird +\| cuckoo! tick from timer1@clock`)
	for _, node := range []string{"clock", "bird", "scribe"} {
		r.until("all links of "+node, func() bool { return up(r.status(node), "tcp", 2) })
	}
}

// up says whether so many links are up over a transport.
func up(s status.Node, transport string, want int) bool {
	n := 0
	for _, l := range s.Links {
		if l.State == "up" && l.Transport == transport {
			n++
		}
	}
	return n == want
}

// The nodes meet over Tor, say what is wrong when it dies, and meet again.
func TestOnionnet(t *testing.T) {
	tor := tors(t)[0]
	begun := time.Now()
	r := start(t, "testnet", copied(t, "onionnet/config.yml", "127.0.0.1:9050", tor.Socks(), "127.0.0.1:9051", tor.Control()))
	r.says(0, `^scribe \| cuckoo! tick from timer1@clock`)
	t.Logf("the first tick came after %v", time.Since(begun).Round(time.Millisecond))
	for _, node := range []string{"clock", "scribe"} {
		r.until("the link of "+node, func() bool { return up(r.status(node), "onion", 1) })
		listens := r.status(node).Transports[0].Listens
		if !regexp.MustCompile(`^[a-z2-7]{56}\.onion:\d+$`).MatchString(listens) {
			t.Errorf("%s listens at %q", node, listens)
		}
	}

	tor.Kill()
	r.until("the clock to say that tor is not running", func() bool {
		s := r.status("clock")
		return len(s.Links) == 1 && s.Links[0].State != "up" && strings.Contains(s.Links[0].Reason, "tor is not running") &&
			strings.Contains(s.Transports[0].Error, "tor is not running")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	length := len(r.output())
	begun = time.Now()
	if err := tor.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := tor.Joined(ctx); err != nil {
		t.Fatal(err)
	}
	r.says(length, `^scribe \| cuckoo! tick from timer1@clock`)
	t.Logf("ticks came again %v after tor", time.Since(begun).Round(time.Millisecond))
}
