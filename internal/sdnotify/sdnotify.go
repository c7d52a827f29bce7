// Package sdnotify tells the service manager how the program is doing, over the
// socket that systemd names in the environment (the protocol of sd_notify(3)).
// Without such a socket it does nothing.
package sdnotify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Notifier sends notices to the service manager. The zero value sends none. It
// may be used from several goroutines at once.
type Notifier struct {
	address  string
	watchdog time.Duration
}

// FromEnv makes a Notifier from the environment that lookup reads, usually
// os.Getenv, for the process with the number pid.
func FromEnv(lookup func(string) string, pid int) *Notifier {
	n := &Notifier{address: lookup("NOTIFY_SOCKET")}
	if of := lookup("WATCHDOG_PID"); of != "" && of != strconv.Itoa(pid) {
		return n
	}
	if us, err := strconv.ParseInt(lookup("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 && us < 1<<52 {
		n.watchdog = time.Duration(us) * time.Microsecond
	}
	return n
}

// Enabled says whether somebody wants to be notified.
func (n *Notifier) Enabled() bool { return n.address != "" }

// Watchdog returns the time within which Alive must be called again and again,
// or the service manager takes the program for hung and restarts it. 0 means
// that it need not be called.
func (n *Notifier) Watchdog() time.Duration {
	if !n.Enabled() {
		return 0
	}
	return n.watchdog
}

// Ready says that the program has started up.
func (n *Notifier) Ready() error { return n.send("READY=1") }

// Stopping says that the program has begun to stop.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1") }

// Alive keeps the watchdog quiet.
func (n *Notifier) Alive() error { return n.send("WATCHDOG=1") }

// Status sets the line that "systemctl status" shows.
func (n *Notifier) Status(line string) error {
	return n.send("STATUS=" + strings.ReplaceAll(line, "\n", " "))
}

// sendTimeout is for a service manager that does not read: the program must not
// hang on it.
const sendTimeout = time.Second

func (n *Notifier) send(state string) error {
	if !n.Enabled() {
		return nil
	}
	if n.address[0] != '/' && n.address[0] != '@' {
		return fmt.Errorf("NOTIFY_SOCKET is %q; expected an absolute path or an abstract socket that begins with @", n.address)
	}
	// The net package takes the leading @ for an abstract socket, as systemd does.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.address, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}

// Unset removes from the environment what was meant for this process alone, so
// that no program that it starts speaks in its name.
func Unset() {
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		_ = os.Unsetenv(name)
	}
}
