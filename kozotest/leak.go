package kozotest

import (
	"bytes"
	"context"
	"fmt"
	"runtime/pprof"
	"testing"
	"time"
)

// hunt finds the goroutines that something leaves behind. A label tells them
// from those of everybody else: goroutines inherit it from whoever starts them.
type hunt struct {
	testing.TB
	label string
}

const huntKey = "kozotest"

func newHunt(t testing.TB) *hunt {
	h := &hunt{TB: t}
	h.label = fmt.Sprintf("%s %p", t.Name(), h)
	return h
}

// watch runs something whose goroutines are to be found.
func (h *hunt) watch(f func()) {
	pprof.Do(context.Background(), pprof.Labels(huntKey, h.label), func(context.Context) { f() })
}

// end waits until no goroutine is left, and fails the test if some stay.
func (h *hunt) end(patience time.Duration) {
	h.Helper()
	for start := time.Now(); ; time.Sleep(patience / 1000) {
		left := h.left()
		if len(left) == 0 {
			return
		}
		if time.Since(start) > patience {
			h.Errorf("goroutines are left behind, %v after the end of everything:\n%s", patience, bytes.Join(left, []byte("\n\n")))
			return
		}
	}
}

// left returns the stacks of the goroutines with the label.
func (h *hunt) left() [][]byte {
	var all bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
		h.Errorf("cannot list the goroutines: %v", err)
	}
	var left [][]byte
	for stack := range bytes.SplitSeq(all.Bytes(), []byte("\n\n")) {
		if bytes.Contains(stack, fmt.Appendf(nil, "%q:%q", huntKey, h.label)) {
			left = append(left, bytes.Clone(stack))
		}
	}
	return left
}
