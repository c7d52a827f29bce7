//go:build unix

package hostnet

import (
	"fmt"
	"net"
	"syscall"
)

// setBacklog tells a socket that listens already how many connections may wait,
// by listening once more, which changes nothing else.
func setBacklog(l net.Listener, backlog int) error {
	s, ok := l.(syscall.Conn)
	if !ok {
		return nil
	}
	c, err := s.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := c.Control(func(fd uintptr) { failed = syscall.Listen(int(fd), backlog) }); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("cannot set the backlog of %s: %w", l.Addr(), failed)
	}
	return nil
}
