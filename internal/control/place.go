package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"kozo"
)

// Dirs are the directories in which control sockets can be. A node takes the
// first one in which it can have one; commands look in all of them.
type Dirs []string

// DirsFrom returns the directories for an environment, which lookup reads
// (usually os.Getenv): KOZO_RUN_DIR alone if it is set, and otherwise /run/kozo,
// a directory of the user's session and one of the user's own among the
// temporary files.
func DirsFrom(lookup func(string) string) Dirs {
	if dir := lookup("KOZO_RUN_DIR"); dir != "" {
		return Dirs{dir}
	}
	var dirs Dirs
	if runtime.GOOS != "windows" {
		dirs = append(dirs, "/run/kozo")
	}
	if dir := lookup("XDG_RUNTIME_DIR"); dir != "" {
		dirs = append(dirs, filepath.Join(dir, "kozo"))
	}
	return append(dirs, filepath.Join(os.TempDir(), "kozo-"+strconv.Itoa(max(os.Getuid(), 0))))
}

const suffix = ".sock"

// maxPath is the longest path that the address of a unix socket can hold on
// every system that we know: 104 bytes on macOS and 108 elsewhere, with the zero
// byte at the end.
func maxPath() int {
	if runtime.GOOS == "darwin" {
		return 103
	}
	return 107
}

// RunningError says that a node with this name and control socket is already
// running.
type RunningError struct {
	Node kozo.NodeName
	PID  int // 0 if it is not known
}

// Error names the node, and the process if it is known.
func (e *RunningError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("a node named %s is already running", e.Node)
	}
	return fmt.Sprintf("a node named %s is already running (pid %d)", e.Node, e.PID)
}

// Listener is the control socket of a node. While it is open no other process
// can listen for a node with the same name in the same directory.
type Listener struct {
	net.Listener
	lock *os.File
}

// Close removes the socket and lets the name go.
func (l *Listener) Close() error {
	return errors.Join(ignoreClosed(l.Listener.Close()), ignoreClosed(unlock(l.lock)))
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) || errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return err
}

// Listen opens the control socket of a node in the first directory that allows
// it. The error is a *RunningError if the node is already running. A socket to
// which nobody listens any more is replaced.
func (d Dirs) Listen(node kozo.NodeName) (*Listener, error) {
	var failed []error
	for _, dir := range d {
		l, err := listenIn(dir, node)
		if err == nil {
			return l, nil
		}
		if _, running := errors.AsType[*RunningError](err); running {
			return nil, err
		}
		failed = append(failed, err)
	}
	if len(failed) == 0 {
		return nil, errors.New("there is no directory for the control socket; set KOZO_RUN_DIR to one")
	}
	return nil, fmt.Errorf("cannot open the control socket: %w", failed[len(failed)-1])
}

func listenIn(dir string, node kozo.NodeName) (*Listener, error) {
	path := filepath.Join(dir, string(node)+suffix)
	if len(path) > maxPath() {
		return nil, fmt.Errorf("the path %s has %d bytes, and a socket can have at most %d; set KOZO_RUN_DIR to a shorter directory",
			path, len(path), maxPath())
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := checkDir(dir); err != nil {
		return nil, err
	}
	lock, err := lockFile(filepath.Join(dir, string(node)+".lock"))
	if errors.Is(err, errLocked) {
		return nil, &RunningError{Node: node, PID: pidIn(dir, node)}
	}
	if err != nil {
		return nil, err
	}
	l, err := bind(path)
	if err != nil {
		_ = unlock(lock)
		if errors.Is(err, errAlive) {
			err = &RunningError{Node: node, PID: pidIn(dir, node)}
		}
		return nil, err
	}
	// The number is for the message of whoever comes second; it may be missing.
	if lock.Truncate(0) == nil {
		_, _ = lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return &Listener{Listener: l, lock: lock}, nil
}

// errAlive says that somebody answers at a socket.
var errAlive = errors.New("the socket is in use")

// bind listens at path, which the caller has locked.
func bind(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if runtime.GOOS != "windows" && info.Mode().Type() != fs.ModeSocket {
			return nil, fmt.Errorf("%s exists and is not a socket; move it away", path)
		}
		// The lock is ours, but a cleaner of temporary files may have removed the
		// one that a living node holds.
		if probe(context.Background(), path) == nil {
			return nil, errAlive
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

func pidIn(dir string, node kozo.NodeName) int {
	text, err := os.ReadFile(filepath.Join(dir, string(node)+".lock"))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return pid
}

// dialTimeout bounds the question whether somebody listens to a socket.
const dialTimeout = time.Second

func probe(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Running is a node that runs on this machine.
type Running struct {
	Node   kozo.NodeName
	Path   string // of its control socket
	Denied bool   // another user runs it, to whom alone it talks
}

// Running returns the nodes that run on this machine, as far as this user can
// see, by name.
func (d Dirs) Running(ctx context.Context) []Running {
	var found []Running
	for _, dir := range d {
		paths, err := filepath.Glob(filepath.Join(escape(dir), "*"+suffix))
		if err != nil {
			continue
		}
		for _, path := range paths {
			node := kozo.NodeName(strings.TrimSuffix(filepath.Base(path), suffix))
			if kozo.CheckName(string(node)) != nil {
				continue
			}
			err := probe(ctx, path)
			if denied := errors.Is(err, fs.ErrPermission); err == nil || denied {
				found = append(found, Running{Node: node, Path: path, Denied: denied})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b Running) int { return strings.Compare(string(a.Node), string(b.Node)) })
	return found
}

// escape keeps a directory from being read as a pattern.
func escape(dir string) string {
	if runtime.GOOS == "windows" {
		return dir // has no escapes in patterns
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(dir)
}
