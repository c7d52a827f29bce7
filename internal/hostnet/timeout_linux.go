package hostnet

import "syscall"

// configure sets the time after which a connection whose bytes are not confirmed
// is given up. Accepted connections have it from their listener. It is a second
// net, so that a system that refuses it is none the worse.
func configure(_, _ string, c syscall.RawConn) error {
	const tcpUserTimeout = 18 // TCP_USER_TIMEOUT, in milliseconds
	return c.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(userTimeout.Milliseconds()))
	})
}
