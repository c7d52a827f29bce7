//go:build !linux

package motion

import (
	"errors"
	"runtime"
)

func openLine(options, func()) (line, error) {
	return nil, errors.New("GPIO lines are read on Linux only, and this is " + runtime.GOOS)
}
