package carry

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// opened is a socket that serves until the end of the test.
func opened(t *testing.T, secure bool) *socket {
	t.Helper()
	s, err := openSocket()
	if err != nil {
		t.Fatal(err)
	}
	life, end := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { s.serve(life, secure) })
	t.Cleanup(func() {
		end()
		serving.Wait()
		s.close()
	})
	return s
}

// say connects to the socket and writes something.
func say(t *testing.T, s *socket, text string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", s.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Log(err) // it may be closed already
	}
	return c
}

// closed waits for the end of a connection.
func closed(t *testing.T, c net.Conn, what string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(firstLineTime / 2))
	if n, err := c.Read(make([]byte, 1)); n > 0 || err == nil || os.IsTimeout(err) {
		t.Errorf("%s: the connection is not closed: %d, %v", what, n, err)
	}
}

func TestConnectionsAreHandedOver(t *testing.T) {
	s := opened(t, true)
	taken := make(chan *Conn, 1)
	token := s.expect(taken)
	c := say(t, s, fmt.Sprintf(`{"token":%q,"address":"far\u001b[2J","peer":"clock","more":1}`+"\n", token)+"the first bytes")
	got := <-taken
	defer got.Close()
	if got.Peer() != "clock" || got.RemoteAddr().String() != `far\x1b[2J` {
		t.Errorf("peer %q at %q", got.Peer(), got.RemoteAddr())
	}
	b := make([]byte, 15)
	if _, err := io.ReadFull(got, b); err != nil || string(b) != "the first bytes" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := got.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(c, b[:1]); err != nil {
		t.Error(err)
	}
	closed(t, say(t, s, fmt.Sprintf(`{"token":%q}`+"\n", token)), "a token that was used")
}

func TestNobodyElseIsLetIn(t *testing.T) {
	s := opened(t, false)
	taken := make(chan *Conn, 1)
	token := s.expect(taken)
	for what, text := range map[string]string{
		"no token":      "{}\n",
		"another token": `{"token":"x"}` + "\n",
		"no JSON":       "hello\n",
		"a long line":   strings.Repeat("x", 2*firstLine),
		"an empty line": "\n",
	} {
		closed(t, say(t, s, text), what)
	}
	s.forget(token)
	closed(t, say(t, s, fmt.Sprintf(`{"token":%q}`+"\n", token)), "a token that nobody waits for any more")
	if len(taken) > 0 {
		t.Error("a connection was taken")
	}
	// Who says nothing does not keep others out.
	for range 10 {
		say(t, s, "")
	}
	token = s.expect(taken)
	say(t, s, fmt.Sprintf(`{"token":%q,"peer":"clock"}`+"\n", token))
	c := <-taken
	defer c.Close()
	if c.Peer() != "" {
		t.Error("a program that does not prove who the peer is has named one")
	}
}

func TestSocketIsPrivateAndShort(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), strings.Repeat("long/", 30)))
	s, err := openSocket()
	if err != nil {
		t.Fatal(err)
	}
	if len(s.path) > maxPath {
		t.Errorf("the path has %d bytes", len(s.path))
	}
	info, err := os.Stat(s.dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory has mode %v, %v", info.Mode(), err)
	}
	s.close()
	if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
		t.Errorf("it is left behind: %v", err)
	}
}

func TestWhatWasLeftBehindIsRemoved(t *testing.T) {
	root, err := os.MkdirTemp("/tmp", "kozo") // short, as a socket needs it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	old := time.Now().Add(-time.Hour)
	make := func(name string) (*socket, string) {
		s, err := openIn(root)
		if err != nil {
			t.Fatal(name, err)
		}
		return s, s.dir
	}
	alive, aliveDir := make("alive")
	defer alive.close()
	dead, deadDir := make("dead")
	dead.listener.SetUnlinkOnClose(false) // as if it were killed
	dead.listener.Close()
	fresh, freshDir := make("fresh")
	fresh.listener.SetUnlinkOnClose(false)
	fresh.listener.Close()
	empty := filepath.Join(root, dirPrefix+"empty")
	if err := os.Mkdir(empty, 0o700); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(root, "other")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{aliveDir, deadDir, empty, other} {
		if err := os.Chtimes(dir, old, old); err != nil {
			t.Fatal(err)
		}
	}
	sweep(root)
	for dir, want := range map[string]bool{aliveDir: true, deadDir: false, freshDir: true, empty: false, other: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: %v", dir, err)
		}
	}
}
