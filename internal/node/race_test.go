//go:build race

package node_test

// raceEnabled: the race detector allocates.
const raceEnabled = true
