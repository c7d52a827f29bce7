package logger

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
)

// The disk is full in the middle of a line: each line that is not counted as
// lost is in the file, once and whole, when there is room again.
func TestFullDisk(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("this needs the right to mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Errorf("unmounting %s: %v", disk, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		filler := filepath.Join(disk, "filler")
		if err := os.WriteFile(filler, make([]byte, 20<<10), 0o600); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(disk, "kozo.log")
		role := start(t, file, kozo.Values{"flushEvery": 10})
		want := ""
		for i := range 100 {
			text := fmt.Sprintf("%03d %s", i, strings.Repeat("x", 500))
			role.Deliver(say(kozo.Info, text))
			synctest.Wait()
			want += "timer1@clock: " + text + "\n"
		}
		if !strings.Contains(role.Log(), "no space left on device") {
			t.Fatalf("the disk is not full:\n%s", role.Log())
		}
		if n := len(read(t, file)); n == 0 || strings.HasSuffix(read(t, file), "\n") {
			t.Logf("the disk happens to be full between two lines, after %d bytes", n)
		}
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		time.Sleep(maxRetry)
		synctest.Wait()
		expect(t, file, want)
		if !strings.Contains(role.Log(), "lost=0") {
			t.Errorf("log: %s", role.Log())
		}
		role.Stop()
	})
}
