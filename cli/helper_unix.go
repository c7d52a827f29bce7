//go:build unix

package cli

import (
	"os/exec"
	"syscall"
)

// killWithChildren gives a command a process group of its own, and kills all of
// it. A ctrl-C in the terminal of the node does not reach it either.
func killWithChildren(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
