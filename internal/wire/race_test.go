//go:build race

package wire

// raceEnabled: the race detector allocates.
const raceEnabled = true
