package cli

import "os"

// stopSignals ask the program to stop.
func stopSignals() []os.Signal { return []os.Signal{os.Interrupt} }

// reopenSignals ask it to close its files and open them again: none can be sent
// here.
func reopenSignals() []os.Signal { return nil }
