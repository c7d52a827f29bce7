//go:build !linux

package vmlab

import "testing"

func run(t *testing.T, _ Lab) {
	t.Helper()
	t.Skip("the lab runs on Linux only")
}
