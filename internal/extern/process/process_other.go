//go:build !unix

package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// Groups of processes are a matter of Unix. Elsewhere a program is refused
// rather than run without a way to end it as a whole.
var errNotHere = errors.New("programs as roles and transports need a Unix system")

func isolate(cmd *exec.Cmd) { cmd.Err = errNotHere }

func lockThread()         {}
func unlockThread()       {}
func unread(*os.File) int { return 0 }

func signalGroup(int, syscall.Signal) {}

func (p *Process) reap() error { return p.cmd.Wait() }

func startError(path string, err error) error { return fmt.Errorf("%s cannot be run: %w", path, err) }
