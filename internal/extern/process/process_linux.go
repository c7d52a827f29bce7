package process

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolate puts the program into a group of its own, and has the kernel kill it
// when this program ends, however that happens.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// reap waits for the end of the program, kills what is left of its group, and
// only then gives up its number, which nobody else can have had before.
func (p *Process) reap() error {
	var info unix.Siginfo
	for unix.Waitid(unix.P_PID, p.cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	p.dying.Lock()
	defer p.dying.Unlock()
	p.dead = true
	signalGroup(p.cmd.Process.Pid, kill)
	return p.cmd.Wait()
}

const ioctlUnread = unix.TIOCINQ
