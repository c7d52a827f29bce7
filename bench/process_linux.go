package main

import "syscall"

// dieTogether makes the kernel end a child when the bench ends, however it does.
func dieTogether() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
