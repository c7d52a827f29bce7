package logger

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
)

// While the file cannot be written, the log is still printed, the operator is
// told once, and lines that fit into memory are written later.
func TestUnwritableFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "dir")
		if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file where the directory should be
			t.Fatal(err)
		}
		file := filepath.Join(dir, "kozo.log")
		role := start(t, file, nil)
		const hours = 24
		want := ""
		for i := range hours {
			role.Deliver(say(kozo.Info, fmt.Sprint(i)))
			want += fmt.Sprintf("timer1@clock: %d\n", i)
			time.Sleep(time.Hour)
		}
		if role.Out() != want {
			t.Errorf("printed\n%s", role.Out())
		}
		if n := strings.Count(role.Log(), "\n"); n != 1 || !strings.Contains(role.Log(), "not a directory") {
			t.Errorf("the operator was told %d times:\n%s", n, role.Log())
		}
		if err := os.Remove(dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(maxRetry)
		synctest.Wait()
		expect(t, file, want)
		if !strings.Contains(role.Log(), `msg="the log file is written again"`) || !strings.Contains(role.Log(), "lost=0") {
			t.Errorf("log: %s", role.Log())
		}
		role.Deliver(say(kozo.Info, "well again"))
		time.Sleep(maxWait)
		synctest.Wait()
		expect(t, file, want+"timer1@clock: well again\n")
	})
}

func TestLostLinesAreCounted(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skipf("this needs /dev/full: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		file := filepath.Join(dir, "kozo.log")
		if err := os.Symlink("/dev/full", file); err != nil {
			t.Fatal(err)
		}
		role := start(t, file, nil)
		role.Deliver(say(kozo.Info, "first"))
		time.Sleep(maxWait) // the first line cannot be written
		synctest.Wait()
		if !strings.Contains(role.Log(), "no space left on device") {
			t.Fatalf("log: %s", role.Log())
		}
		line := "timer1@clock: " + strings.Repeat("x", 1000) + "\n"
		const lines = 100
		for range lines {
			role.Deliver(say(kozo.Info, strings.Repeat("x", 1000)))
		}
		synctest.Wait()
		kept := (maxBuffer - len("timer1@clock: first\n")) / len(line)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		role.Reopen() // and do not wait for the next attempt
		synctest.Wait()
		text := read(t, file)
		head := "timer1@clock: first\n" + strings.Repeat(line, kept)
		tail := fmt.Sprintf("logger@scribe: error: %d lines were lost here within 0s: ", lines-kept)
		if !strings.HasPrefix(text, head) || !strings.HasPrefix(text[len(head):], tail) || strings.Count(text, "\n") != kept+2 {
			t.Errorf("the file has %d lines and ends with %q, want %q", strings.Count(text, "\n"), text[max(0, len(text)-150):], tail)
		}
		if !strings.Contains(role.Log(), fmt.Sprintf("lost=%d", lines-kept)) {
			t.Errorf("log: %s", role.Log())
		}
	})
}

func TestStopWhileTheDiskIsFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skipf("this needs /dev/full: %v", err)
	}
	role := start(t, "/dev/full", nil)
	for range 7 {
		role.Deliver(say(kozo.Info, "x"))
	}
	if err := role.Stop(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(role.Log(), "lines of the log are lost") || !strings.Contains(role.Log(), "lost=7") {
		t.Errorf("log: %s", role.Log())
	}
}

func TestDevicesAreNotRotated(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kozo.log")
	if err := os.Symlink(os.DevNull, file); err != nil {
		t.Skipf("this needs symbolic links: %v", err)
	}
	role := start(t, file, kozo.Values{"maxSize": kozo.Size(10), "keep": 1, "flushEvery": 1})
	for range 3 {
		role.Deliver(say(kozo.Info, "x"))
	}
	if err := role.Stop(); err != nil || role.Log() != "" {
		t.Errorf("error %v, log: %s", err, role.Log())
	}
	if _, err := os.Lstat(file + ".1"); err == nil {
		t.Error("a device was moved away")
	}
}
