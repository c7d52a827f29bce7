//go:build unix

package extern_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kozo/internal/extern"
)

// TestDescribeHangs has programs describe themselves for ever: one that waits for
// a child, and one that has closed its output. They are given ten seconds.
func TestDescribeHangs(t *testing.T) {
	if testing.Short() {
		t.Skip("this takes ten seconds")
	}
	for name, text := range map[string]string{
		"open":   "sleep 1000 & echo $! >pid; wait",
		"closed": "sleep 1000 & echo $! >pid; echo '{}'; exec >&- 2>&-; wait",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := put(t, dir, "slow.sh", "#!/bin/sh\n"+text+"\n")
			began := time.Now()
			_, _, err := extern.New(extern.Dirs{}).Role("slow", []string{dir}, nil)
			if took := time.Since(began); took < 10*time.Second || took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
			if err == nil || !strings.HasPrefix(err.Error(), path+" --describe has not ended within 10s; it should print") {
				t.Errorf("the error is %v", err)
			}
			pid, err := os.ReadFile(filepath.Join(dir, "pid"))
			if err != nil {
				t.Fatal(err)
			}
			child, err := strconv.Atoi(strings.TrimSpace(string(pid)))
			if err != nil {
				t.Fatal(err)
			}
			for end := time.Now().Add(10 * time.Second); alive(child); time.Sleep(10 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("its child lives on")
				}
			}
		})
	}
}

// alive says whether a process has not ended. It may have, and nobody has asked
// yet with what.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || !strings.Contains(string(stat), ") Z ")
}
