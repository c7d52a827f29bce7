//go:build unix && !linux

package fleet

import (
	"os"
	"syscall"
)

// apart starts a program in a process group of its own, so that Ctrl-C reaches
// this process alone, which then stops its programs one time and not two.
func apart() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }
