package discover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// reachTimeout is longer than a page takes that nobody answers (5.12 s).
const reachTimeout = 10 * time.Second

// sdp is the port at which every classic device tells its services.
const sdp = 1

// Reach pages a device: whether it shows itself or not, a device that is there
// answers, and needs no pairing for it.
func (a *air) Reach(ctx context.Context, address string) (bool, error) {
	adapters, err := a.bus.Choose(a.Adapter)
	if err != nil {
		return false, err
	}
	for _, adapter := range adapters {
		there, err := page(ctx, adapter.Address, address)
		if there || err != nil {
			return there, err
		}
	}
	return false, nil
}

func page(ctx context.Context, from, to string) (bool, error) {
	fd, err := unix.Socket(unix.AF_BLUETOOTH, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.BTPROTO_L2CAP)
	if err != nil {
		return false, fmt.Errorf("the kernel makes no Bluetooth socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrL2{Addr: bytesOf(from)}); err != nil {
		return false, fmt.Errorf("cannot page with the Bluetooth adapter %s: %w", from, err)
	}
	err = unix.Connect(fd, &unix.SockaddrL2{PSM: sdp, Addr: bytesOf(to)})
	if errors.Is(err, unix.EINPROGRESS) || errors.Is(err, unix.EAGAIN) {
		err = settled(ctx, fd)
	}
	switch {
	case err == nil, errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.EACCES):
		return true, nil // it refuses, so it is there
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENETDOWN), errors.Is(err, unix.EHOSTUNREACH):
		return false, fmt.Errorf("cannot page with the Bluetooth adapter %s: %w", from, err)
	}
	return false, nil
}

// settled waits until a socket has connected, or has failed to.
func settled(ctx context.Context, fd int) error {
	end := time.Now().Add(reachTimeout)
	for time.Now().Before(end) && ctx.Err() == nil {
		// In short steps: poll knows nothing of ctx.
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 200)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if n > 0 {
			code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
			if err != nil || code == 0 {
				return err
			}
			return unix.Errno(code)
		}
	}
	return unix.ETIMEDOUT
}

// bytesOf is an address in bytes.
func bytesOf(address string) (b [6]byte) {
	if mac, err := net.ParseMAC(address); err == nil {
		copy(b[:], mac)
	}
	return b
}
