//go:build unix

package cli

import (
	"os"
	"syscall"
)

// stopSignals ask the program to stop.
func stopSignals() []os.Signal { return []os.Signal{syscall.SIGINT, syscall.SIGTERM} }

// reopenSignals ask it to close its files and open them again.
func reopenSignals() []os.Signal { return []os.Signal{syscall.SIGHUP} }
