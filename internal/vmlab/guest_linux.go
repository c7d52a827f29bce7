package vmlab

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// Files returns how many files a daemon of the machine has open.
func (d Daemon) Files(t *testing.T) int {
	t.Helper()
	pid, err := os.ReadFile("/run/" + string(d) + ".pid")
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadDir(filepath.Join("/proc", strings.TrimSpace(string(pid)), "fd"))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

func (d Daemon) control(t *testing.T, what string) {
	t.Helper()
	if out, err := exec.Command("/init", what, string(d)).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", what, d, err, out)
	}
}

// Block keeps the radio of an adapter of the machine off, as rfkill does, or lets
// it on again.
func Block(t *testing.T, adapter string, off bool) {
	t.Helper()
	value := "0"
	if off {
		value = "1"
	}
	switches, _ := filepath.Glob("/sys/class/rfkill/*")
	for _, dir := range switches {
		if name, _ := os.ReadFile(filepath.Join(dir, "name")); strings.TrimSpace(string(name)) == adapter {
			if err := os.WriteFile(filepath.Join(dir, "soft"), []byte(value), 0); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("the adapter %s has no switch", adapter)
}
