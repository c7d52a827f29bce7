//go:build unix

package control

import (
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// A lock whose file is removed at each release is had by one at a time.
func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	var holders, taken atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 2000 {
				f, err := lockFile(path)
				if err != nil {
					continue
				}
				taken.Add(1)
				if holders.Add(1) != 1 {
					t.Error("two have the lock")
				}
				runtime.Gosched()
				holders.Add(-1)
				if err := unlock(f); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if taken.Load() < 100 {
		t.Errorf("the lock was taken %d times only", taken.Load())
	}
}
