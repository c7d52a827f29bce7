//go:build unix && !linux

package process

import (
	"os/exec"
	"syscall"
)

// isolate puts the program into a group of its own. It learns from the end of
// its input that this program was killed.
func isolate(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// reap waits for the end of the program and kills what is left of its group.
func (p *Process) reap() error {
	err := p.cmd.Wait()
	p.dying.Lock()
	defer p.dying.Unlock()
	p.dead = true
	signalGroup(p.cmd.Process.Pid, kill)
	return err
}

const ioctlUnread = 0x4004667f // FIONREAD
