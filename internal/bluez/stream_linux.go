package bluez

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// Stream is an RFCOMM connection.
type Stream struct {
	file          *os.File
	local, remote Addr

	mu     sync.Mutex
	broken error // what Read says from now on
}

var _ net.Conn = (*Stream)(nil)

// newStream owns the descriptor.
func newStream(fd int, local, remote Addr) (*Stream, error) {
	syscall.CloseOnExec(fd)
	if err := syscall.SetNonblock(fd, true); err != nil { // so that there can be deadlines
		syscall.Close(fd)
		return nil, os.NewSyscallError("setnonblock", err)
	}
	return &Stream{file: os.NewFile(uintptr(fd), "rfcomm"), local: local, remote: remote}, nil
}

// Read returns io.EOF when the other side has hung up, or its process has ended.
func (s *Stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	err := s.broken
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := s.file.Read(p)
	switch {
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
		return n, s.explain("read", err)
	case errors.Is(err, syscall.ECONNRESET):
		err = io.EOF // RFCOMM has no other word for a hang-up
	}
	// The kernel says it once, and then has readers wait for ever.
	err = s.explain("read", err)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil && !errors.Is(err, net.ErrClosed) {
		s.broken = err
	}
	return n, err
}

func (s *Stream) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	return n, s.explain("write", err)
}

// Close hangs up. What was written still goes out if the other side is there.
func (s *Stream) Close() error {
	s.mu.Lock()
	s.broken = s.explain("read", &fs.PathError{Err: net.ErrClosed})
	s.mu.Unlock()
	// bluetoothd has a descriptor of it too, if it came in.
	if raw, err := s.file.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = syscall.Shutdown(int(fd), syscall.SHUT_RDWR) })
	}
	return s.explain("close", s.file.Close())
}

// LocalAddr returns the address of the adapter.
func (s *Stream) LocalAddr() net.Addr { return s.local }

// RemoteAddr returns the address of the device.
func (s *Stream) RemoteAddr() net.Addr { return s.remote }

// SetDeadline is that of net.Conn, as are the next two.
func (s *Stream) SetDeadline(t time.Time) error { return s.file.SetDeadline(t) }

// SetReadDeadline bounds reads.
func (s *Stream) SetReadDeadline(t time.Time) error { return s.file.SetReadDeadline(t) }

// SetWriteDeadline bounds writes.
func (s *Stream) SetWriteDeadline(t time.Time) error { return s.file.SetWriteDeadline(t) }

// explain makes an error of a file that of a connection.
func (s *Stream) explain(op string, err error) error {
	p, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return err // io.EOF, or none
	}
	err = p.Err
	if errors.Is(err, os.ErrClosed) {
		err = net.ErrClosed
	}
	return &net.OpError{Op: op, Net: "bluetooth", Source: s.local, Addr: s.remote, Err: err}
}
