package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"unsafe"
)

// isolatedVariable is set for the bench that has a network of its own.
const isolatedVariable = "KOZO_BENCH_ISOLATED"

// congestions are the congestion controls of an isolated bench, the first that the
// kernel permits: the one that a small computer has if nobody changed that, or one
// that does the same where nothing is lost. BBR spreads packets over time, which
// makes whoever writes each message by itself twice as fast.
var congestions = [...]string{"cubic", "reno"}

func isolated() bool { return os.Getenv(isolatedVariable) != "" }

// isolate runs this program once more, in a network namespace with nothing but a
// loopback interface. Its bytes can be counted, and its congestion control is
// known. It needs to be root; ok says whether it could.
func isolate(args []string) (code int, ok bool) {
	exe, err := os.Executable()
	if err != nil || os.Geteuid() != 0 {
		return 0, false
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cmd := exec.Command(exe, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), isolatedVariable+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGTERM}
	if cmd.Start() != nil {
		return 0, false
	}
	defer context.AfterFunc(ctx, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })()
	if err := cmd.Wait(); err != nil {
		if failed, is := errors.AsType[*exec.ExitError](err); is {
			return max(1, failed.ExitCode()), true
		}
		return 1, true
	}
	return 0, true
}

// furnish brings the loopback interface of a new network up.
func furnish() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("bring the loopback interface up: %w", err)
	}
	defer syscall.Close(fd)
	request := struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}{flags: syscall.IFF_UP | syscall.IFF_RUNNING}
	copy(request.name[:], "lo")
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return fmt.Errorf("bring the loopback interface up: %w", errno)
	}
	for _, name := range congestions {
		if os.WriteFile("/proc/sys/net/ipv4/tcp_congestion_control", []byte(name), 0) == nil {
			break // otherwise it stays as it is, and the results say how
		}
	}
	return nil
}

// wireBytes is how many bytes have gone over the loopback interface, headers and
// acknowledgements included: 0 if it is not ours alone.
func wireBytes() (n int64) {
	if !isolated() {
		return 0
	}
	text, err := os.ReadFile("/proc/net/dev")
	if err != nil {
		return 0
	}
	if _, rest, ok := strings.Cut(string(text), "lo:"); ok {
		_, _ = fmt.Sscan(rest, &n) // the first number; 0 if there is none
	}
	return n
}
