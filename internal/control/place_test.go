package control

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

func TestListenTwice(t *testing.T) {
	dirs := Dirs{runDir(t)}
	l, err := dirs.Listen("clock")
	if err != nil {
		t.Fatal(err)
	}
	_, err = dirs.Listen("clock")
	running, ok := errors.AsType[*RunningError](err)
	if !ok || running.PID != os.Getpid() || running.Node != "clock" {
		t.Errorf("the second one: %v", err)
	}
	other, err := dirs.Listen("scribe")
	if err != nil {
		t.Errorf("another node is in the way: %v", err)
	} else {
		defer other.Close()
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if again, err := dirs.Listen("clock"); err != nil {
		t.Errorf("after the first one has gone: %v", err)
	} else if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// Of many that start at the same moment exactly one runs.
func TestListenRace(t *testing.T) {
	dirs := Dirs{runDir(t)}
	results := make(chan *Listener, 20)
	var wg sync.WaitGroup
	for range cap(results) {
		wg.Go(func() {
			l, err := dirs.Listen("clock")
			if _, running := errors.AsType[*RunningError](err); err != nil && !running {
				t.Error(err)
			}
			results <- l
		})
	}
	wg.Wait()
	close(results)
	var won []*Listener
	for l := range results {
		if l != nil {
			won = append(won, l)
		}
	}
	if len(won) != 1 {
		t.Errorf("%d of them run", len(won))
	}
	for _, l := range won {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Names are given back and taken again, and never had by two at a time.
func TestListenAgainAndAgain(t *testing.T) {
	dirs := Dirs{runDir(t)}
	var holders, taken atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				l, err := dirs.Listen("clock")
				if err != nil {
					continue
				}
				taken.Add(1)
				if holders.Add(1) != 1 {
					t.Error("two have the name")
				}
				holders.Add(-1)
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if taken.Load() == 0 {
		t.Error("nobody ever had the name")
	}
	if left, err := os.ReadDir(dirs[0]); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestStaleSocket(t *testing.T) {
	dir := runDir(t)
	stale, err := net.Listen("unix", filepath.Join(dir, "clock.sock"))
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	if found := (Dirs{dir}).Running(t.Context()); len(found) != 0 {
		t.Errorf("a stale socket counts as running: %v", found)
	}
	l, err := Dirs{dir}.Listen("clock")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(l.Addr().String())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket has mode %v, %v", info.Mode(), err)
	}
}

// A living socket whose lock file was cleaned away is not taken.
func TestLivingSocketWithoutLock(t *testing.T) {
	dir := runDir(t)
	l, err := Dirs{dir}.Listen("clock")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Remove(filepath.Join(dir, "clock.lock")); err != nil {
		t.Fatal(err)
	}
	second, err := Dirs{dir}.Listen("clock")
	if _, running := errors.AsType[*RunningError](err); !running {
		t.Errorf("the second one: %v, %v", second, err)
	}
}

func TestWhereSocketsAre(t *testing.T) {
	dir := runDir(t)
	long := filepath.Join(dir, strings.Repeat("l", 100))
	if _, err := (Dirs{long}).Listen("clock"); err == nil || !strings.Contains(err.Error(), "KOZO_RUN_DIR") {
		t.Errorf("a path that is too long: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Dirs{file}).Listen("clock"); err == nil {
		t.Error("a file serves as a directory")
	}
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := (Dirs{open}).Listen("clock"); err == nil || !strings.Contains(err.Error(), "everybody can write") {
		t.Errorf("a directory of everybody: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "taken.sock"), []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (Dirs{dir}).Listen("taken"); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("a file in the way: %v", err)
	}
	// The first directory that can be used is.
	l, err := Dirs{long, file, dir}.Listen("clock")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	found := Dirs{long, dir}.Running(t.Context())
	if len(found) != 1 || found[0].Node != "clock" || found[0].Path != l.Addr().String() {
		t.Errorf("running: %+v", found)
	}
}

func TestDirsFrom(t *testing.T) {
	env := map[string]string{"XDG_RUNTIME_DIR": "/run/user/7"}
	lookup := func(name string) string { return env[name] }
	dirs := DirsFrom(lookup)
	if len(dirs) != 3 || dirs[0] != "/run/kozo" || dirs[1] != "/run/user/7/kozo" || !strings.HasPrefix(dirs[2], os.TempDir()) {
		t.Errorf("got %v", dirs)
	}
	env["KOZO_RUN_DIR"] = "/x"
	if dirs := DirsFrom(lookup); len(dirs) != 1 || dirs[0] != "/x" {
		t.Errorf("got %v", dirs)
	}
}

// A node that has stopped to answer, and not yet ended, still has its name.
func TestNameIsKeptUntilTheEnd(t *testing.T) {
	dirs := Dirs{runDir(t)}
	l, err := dirs.Listen("clock")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Serve(ctx, l.Listener, newFakeNode()); err != nil {
		t.Fatal(err)
	}
	if _, err := dirs.Listen("clock"); err == nil {
		t.Error("another one can run already")
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
