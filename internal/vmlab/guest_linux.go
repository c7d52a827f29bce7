package vmlab

import (
	"os/exec"
	"testing"
)

// Daemon is a program of the machine that tests can stop and start again.
type Daemon string

// The daemons of a machine that has Bluetooth.
const (
	Bus        Daemon = "dbus"
	Bluetoothd Daemon = "bluetoothd"
	Radio      Daemon = "radio" // stopping it unplugs all controllers
)

// Stop kills a daemon of the machine, as a crash would.
func (d Daemon) Stop(t *testing.T) { d.control(t, "stop") }

// Start starts a daemon that was stopped. It does not wait until it is ready.
func (d Daemon) Start(t *testing.T) { d.control(t, "start") }

func (d Daemon) control(t *testing.T, what string) {
	t.Helper()
	if out, err := exec.Command("/init", what, string(d)).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", what, d, err, out)
	}
}
