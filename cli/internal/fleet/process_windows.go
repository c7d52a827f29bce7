package fleet

import (
	"os"
	"syscall"
)

// apart starts a program in a process group of its own, so that Ctrl-C does not
// reach it past this process.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// terminate kills: there is no gentler way to end a program without a window.
func terminate(p *os.Process) error { return p.Kill() }
