package carry

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"kozo"
	"kozo/internal/extern/protocol"
)

const (
	firstLine     = 4 << 10         // bytes that the line with the token can have
	firstLineTime = 5 * time.Second // for that line to come
	maxSpeaking   = 256             // connections to the socket that have not said their token
	maxPath       = 103             // of a Unix socket, on every system
	staleAfter    = time.Minute     // for the directory of a program that does not live any more
	dirPrefix     = "kozo-streams-"
)

// socket is where a program hands connections over.
type socket struct {
	dir, path string
	listener  *net.UnixListener
	speaking  chan struct{} // has room for those that have not said their token

	mu       sync.Mutex
	expected map[string]chan *Conn // by token
}

// openSocket makes a socket that only this user can reach.
func openSocket() (*socket, error) {
	var errs []error
	for _, root := range []string{os.Getenv("XDG_RUNTIME_DIR"), os.TempDir(), "/tmp"} {
		if root == "" || len(filepath.Join(root, dirPrefix))+12+len("/s") > maxPath {
			continue
		}
		s, err := openIn(root)
		if err == nil {
			return s, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("no place for the socket of a program: %w", errors.Join(errs...))
}

func openIn(root string) (*socket, error) {
	sweep(root)
	dir, err := os.MkdirTemp(root, dirPrefix) // 0700
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return &socket{
		dir: dir, path: path, listener: l,
		speaking: make(chan struct{}, maxSpeaking), expected: map[string]chan *Conn{},
	}, nil
}

// sweep removes what programs that were killed have left behind.
func sweep(root string) {
	left, _ := filepath.Glob(filepath.Join(root, dirPrefix+"*"))
	for _, dir := range left {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < staleAfter {
			continue
		}
		c, err := net.Dial("unix", filepath.Join(dir, "s"))
		if err == nil {
			_ = c.Close()
		} else if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, os.ErrNotExist) {
			_ = os.RemoveAll(dir) // fails if it is another user's
		}
	}
}

func (s *socket) close() {
	_ = s.listener.Close()
	_ = os.RemoveAll(s.dir)
}

// expect returns a new token. The connection that says it goes to a channel with
// room for it.
func (s *socket) expect(taken chan *Conn) string {
	token := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expected[token] = taken
	return token
}

func (s *socket) forget(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.expected, token)
}

// serve takes connections until life ends.
func (s *socket) serve(life context.Context, secure bool) {
	defer context.AfterFunc(life, func() { _ = s.listener.Close() })()
	var speaking sync.WaitGroup
	defer speaking.Wait()
	for {
		conn, err := s.listener.AcceptUnix()
		if life.Err() != nil {
			if conn != nil {
				_ = conn.Close()
			}
			return
		}
		if err != nil { // no file descriptors, for instance
			sleep(life, 50*time.Millisecond)
			continue
		}
		select {
		case s.speaking <- struct{}{}:
		default:
			_ = conn.Close()
			continue
		}
		speaking.Go(func() {
			defer func() { <-s.speaking }()
			stop := context.AfterFunc(life, func() { _ = conn.Close() })
			defer stop()
			if !s.take(conn, secure) {
				_ = conn.Close()
			}
		})
	}
}

// take reads the first line, and gives the connection to whoever expects it.
func (s *socket) take(conn *net.UnixConn, secure bool) bool {
	_ = conn.SetReadDeadline(time.Now().Add(firstLineTime))
	line, err := readLine(conn)
	_ = conn.SetReadDeadline(time.Time{})
	var head protocol.Handed
	if err != nil || json.Unmarshal(line, &head) != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.expected[head.Token]
	if taken == nil {
		return false
	}
	delete(s.expected, head.Token)
	c := &Conn{UnixConn: conn, remote: addr{network: "program", text: shorten(kozo.Printable(head.Address))}}
	if secure {
		c.peer = head.Peer
	}
	taken <- c // has room: a token works once
	return true
}

// readLine reads up to a line feed and nothing beyond it.
func readLine(conn net.Conn) ([]byte, error) {
	var line []byte
	one := make([]byte, 1)
	for len(line) < firstLine {
		if _, err := conn.Read(one); err != nil {
			return nil, err
		}
		if one[0] == '\n' {
			return line, nil
		}
		line = append(line, one[0])
	}
	return nil, errors.New("the first line is too long")
}
