// Package vmlab runs tests inside a small virtual machine that has what the
// machine at hand need not have: the real bluetoothd with controllers that hear
// each other, and a kernel with GPIO. It is for tests only.
//
//	func TestInLab(t *testing.T) {
//		vmlab.Run(t, vmlab.Lab{Controllers: 2}, func(t *testing.T) {
//			t.Run("something", …) // this runs inside, as root
//		})
//	}
//
// On the host, [Run] builds the tests of the package anew, without cgo, boots the
// machine, lets it run this one test, and reports its subtests under the same
// names. A -run with subtests (TestInLab/something) holds inside as well. What
// a package tests in the lab belongs into one call: a boot takes some ten seconds.
//
// What these machines are is told in package machine.
package vmlab

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"kozo/internal/vmlab/machine"
)

// Lab says what a test needs.
type Lab struct {
	// Controllers is the number of Bluetooth controllers, hci0 and so on, that
	// hear each other and nobody else. With several machines each has one.
	Controllers int

	// Machines are the names of machines that share one radio, and run the same
	// test at the same time; [Machine] tells them apart. One machine without a
	// name if it is empty.
	Machines []string

	// Programs are built for the machine: import path of the package by the name
	// of the program. They are found by their names.
	Programs map[string]string

	// Files are copied into the directory in which the tests run: path on the
	// host by name.
	Files map[string]string

	// Timeout bounds a run on the host, boot included; 4 minutes if it is 0.
	Timeout time.Duration
}

// SharedDir is a directory of the host that all machines of a lab share.
const SharedDir = machine.SharedDir

// Inside says whether the caller runs in a machine of the lab.
func Inside() bool {
	_, ok := os.LookupEnv(machine.Variable)
	return ok
}

// Machine returns the name of the machine that the caller runs in.
func Machine() string { return os.Getenv(machine.Variable) }

// Run runs a test in the lab. It skips where there can be no lab, and says why.
func Run(t *testing.T, lab Lab, inside func(*testing.T)) {
	t.Helper()
	if Inside() {
		inside(t)
		return
	}
	if testing.Short() {
		t.Skip("a virtual machine takes too long for -short")
	}
	run(t, lab)
}

// Post tells the other machines of the lab that something has happened.
func Post(t *testing.T, event string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(SharedDir, "event."+event), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

// Await waits until a machine of the lab has posted an event. It fails the test
// after limit.
func Await(t *testing.T, event string, limit time.Duration) {
	t.Helper()
	Eventually(t, limit, "event "+event, func() bool {
		_, err := os.Stat(filepath.Join(SharedDir, "event."+event))
		return err == nil
	})
}

// Eventually waits until a condition holds. It fails the test after limit.
func Eventually(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}
