//go:build !linux

package bluez

import (
	"errors"
	"net"
)

// Stream is an RFCOMM connection, of which there are none here.
type Stream struct{ net.Conn }

func newStream(int, Addr, Addr) (*Stream, error) {
	return nil, errors.New("BlueZ is for Linux only")
}
