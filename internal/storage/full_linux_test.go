package storage

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

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
	dir := filepath.Join(disk, "storage")
	role := Open(dir).Role("r")
	old := strings.Repeat("x", 20_000)
	if err := role.Save(old); err != nil {
		t.Fatal(err)
	}
	expectOld := func() {
		t.Helper()
		var got string
		if err := Open(dir).Role("r").Load(&got); err != nil || got != old {
			t.Errorf("loaded %.20q (%v), want the old value", got, err)
		}
		expectFiles(t, dir, "r.json")
	}
	// There is no room for the whole of the new value.
	if err := role.Save(strings.Repeat("y", 60_000)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v, want that the disk is full", err)
	}
	expectOld()
	// There is no room for anything.
	filler, err := os.Create(filepath.Join(disk, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	for page := make([]byte, 4096); err == nil; {
		_, err = filler.Write(page)
	}
	filler.Close()
	if err := role.Save("z"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("error %v, want that the disk is full", err)
	}
	expectOld()

	if err := os.Remove(filler.Name()); err != nil {
		t.Fatal(err)
	}
	if err := role.Save("z"); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}
