package main

import (
	"errors"
	"syscall"
)

// dieTogether makes the kernel end a child when the bench ends, however it does.
func dieTogether() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// manyFiles is enough for all connections of the largest mesh, both ends of each in
// one process.
const manyFiles = 1 << 16

// openFiles permits this process as many open files as the largest mesh needs, if
// it may: only root may have more than others.
func openFiles() {
	limit := syscall.Rlimit{Cur: manyFiles, Max: manyFiles}
	_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) // a mesh that needs it fails, and says why
}

// What a line of a moderate speed has: segments of the usual size, where those of
// the loopback have 64 KiB, and not much in the buffers of the kernel.
const (
	lineSegment = 1448
	lineBuffer  = 64 << 10
)

// likeEthernet prepares the listening socket of a line.
func likeEthernet(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = errors.Join(syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, lineSegment),
			syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, lineBuffer))
	})
	return errors.Join(err, failed)
}
