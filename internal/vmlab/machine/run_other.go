//go:build !linux

package machine

import (
	"context"
	"fmt"
)

// Prepare says that there can be no machines.
func Prepare() error { return fmt.Errorf("%w: it runs on Linux only", ErrUnavailable) }

// Facts are empty.
func Facts() string { return "" }

// Run says that there can be no machines.
func (e *Errand) Run(context.Context) ([]Outcome, error) { return nil, Prepare() }
