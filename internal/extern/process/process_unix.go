//go:build unix

package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func lockThread()   { runtime.LockOSThread() }
func unlockThread() { runtime.UnlockOSThread() }

// signalGroup sends a signal to a group. That there is none any more is fine.
func signalGroup(leader int, s syscall.Signal) { _ = syscall.Kill(-leader, s) }

// unread returns how many bytes are in a pipe.
func unread(f *os.File) int {
	n := 0
	raw, err := f.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), ioctlUnread) })
	if err != nil {
		return 0
	}
	return n
}

// startError says why a program cannot be started, and what to do about it.
func startError(path string, err error) error {
	shebang := interpreter(path)
	switch {
	case errors.Is(err, syscall.ENOEXEC) && shebang == "":
		return fmt.Errorf("%s is neither a program for this machine nor a script; the first line of a script says what runs it, for instance #!/usr/bin/env python3", path)
	case errors.Is(err, syscall.ENOEXEC):
		return fmt.Errorf("%s cannot be run: its first line names %q, which is no program for this machine", path, shebang)
	case errors.Is(err, fs.ErrNotExist) && strings.HasSuffix(shebang, "\r"):
		return fmt.Errorf("%s cannot be run: its lines end as on Windows, with a carriage return; write it with plain line feeds", path)
	case errors.Is(err, fs.ErrNotExist) && shebang != "":
		return fmt.Errorf("%s cannot be run: its first line names %q, which is not on this machine", path, shebang)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be run by this user; chmod +x makes a file a program, and its disk must not be mounted noexec", path)
	}
	return fmt.Errorf("%s cannot be run: %w", path, err)
}

// interpreter returns what the first line of a script names, or nothing.
func interpreter(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	begin := make([]byte, 256)
	n, _ := f.Read(begin)
	line, _, _ := bytes.Cut(begin[:n], []byte("\n"))
	rest, ok := bytes.CutPrefix(line, []byte("#!"))
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(strings.TrimLeft(string(rest), " \t"), " ")
	return name
}
