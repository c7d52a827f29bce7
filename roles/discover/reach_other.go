//go:build !linux

package discover

import (
	"context"
	"errors"
)

// Reach needs Linux, like the rest.
func (a *air) Reach(context.Context, string) (bool, error) {
	return false, errors.New("Bluetooth devices are paged on Linux only")
}
