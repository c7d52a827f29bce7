// Package machine runs programs inside small virtual machines that have what the
// machine at hand need not have: the real bluetoothd with controllers that hear
// each other, and a kernel with GPIO. It is for tests and measurements only.
//
// The kernel and BlueZ come from Debian's archive. They are unpacked into the
// user's cache directory, and never installed. The processor is emulated, since
// nested virtualisation cannot be relied on, and so it is slow: plain code 3 to 6
// times, cryptography more. Limits of time must allow for it.
package machine

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

//go:embed guest.sh
var guestScript []byte

// Variable is set for what runs inside, to the name of the machine, which may be
// empty.
const Variable = "KOZO_VMLAB_MACHINE"

// SharedDir is a directory of the host that all machines of an errand share.
const SharedDir = "/out"

// ErrUnavailable is wrapped by the errors that say why there can be no machines
// here, whatever the errand.
var ErrUnavailable = errors.New("no virtual machine")

// Errand is what machines are started for. They end with it.
type Errand struct {
	// Controllers is the number of Bluetooth controllers, hci0 and so on, that
	// hear each other and nobody else. With several machines each has one.
	Controllers int

	// Names are those of machines that share one radio and do the same at the
	// same time. One machine without a name if it is empty.
	Names []string

	// Files are what the machines have besides: path on the host by path inside,
	// without the first slash. The command runs in the directory test.
	Files map[string]string

	// Command is for the shell, as root.
	Command string

	// Paced makes the time of the machines pass by what they have computed, and by
	// the clock of the host only while they have nothing to do. So a host that has
	// other work makes them no slower in their own eyes, and no limit of time
	// inside is passed because of it. What they measure means little then.
	Paced bool

	// Limit bounds a run, boot included. The command finds it in $LIMIT, in seconds.
	Limit time.Duration

	// Dir is the directory of the host that the machines share.
	Dir string
}

// Outcome is what became of one machine.
type Outcome struct {
	Name    string
	Err     error  // of the machine: it did not start, or not end in time
	Console string // what its kernel said
	dir     string
}

// Output is the path of what the command has written to its standard output.
func (o *Outcome) Output() string { return o.file("output") }

// Errors is the path of what it has written to its standard error.
func (o *Outcome) Errors() string { return o.file("errors") }

// Logs are the paths of what the kernel and the daemons of the machine have
// logged.
func (o *Outcome) Logs() []string {
	logs, _ := filepath.Glob(o.file("*.log"))
	return logs
}

func (o *Outcome) file(name string) string { return filepath.Join(o.dir, name+"."+o.Name) }

// overlay is the part of the machine that depends on the errand.
func (e *Errand) overlay(limit time.Duration) ([]byte, error) {
	var a archive
	for name, file := range e.Files {
		if err := a.copy(name, file); err != nil {
			return nil, err
		}
	}
	controllers := e.Controllers
	if len(e.Names) > 0 {
		controllers = 1
	}
	a.file("init", guestScript, 0o755)
	a.file("etc/lab.conf", fmt.Appendf(nil, "CONTROLLERS=%d\nexport LIMIT=%.0f\n", controllers, limit.Seconds()), 0o644)
	a.file("etc/errand", []byte(e.Command+"\n"), 0o644)
	return a.end(), nil
}

// image writes the file system that the machines start with.
func (e *Errand) image(p parts, limit time.Duration, file string) error {
	base, err := os.ReadFile(p.image())
	if err != nil {
		return err
	}
	overlay, err := e.overlay(limit)
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(base, overlay...), 0o644)
}
