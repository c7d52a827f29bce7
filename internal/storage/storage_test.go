package storage

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kozo"
)

type value struct {
	Name string
	N    int
}

func TestRoundTrip(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "storage")
	role := Open(dir).Role("cuckoo")
	var got value
	if err := role.Load(&got); err != kozo.ErrNoValue {
		t.Errorf("loading nothing: error %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("the directory was created before anything was saved")
	}
	want := value{"x", 1}
	if err := role.Save(want); err != nil {
		t.Fatal(err)
	}
	if err := Open(dir).Role("cuckoo").Load(&got); err != nil || got != want {
		t.Errorf("loaded %v (%v), want %v", got, err, want)
	}
	text, err := os.ReadFile(filepath.Join(dir, "cuckoo.json"))
	if err != nil || string(text) != `{"Name":"x","N":1}`+"\n" {
		t.Errorf("the file has %q (%v)", text, err)
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "cuckoo.json"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
	}
	if err := Open(dir).Role("other").Load(&got); err != kozo.ErrNoValue {
		t.Errorf("loading the value of another role: error %v", err)
	}
	expectFiles(t, dir, "cuckoo.json")
}

func expectFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the directory holds %q, want %q", got, want)
	}
}

func TestUnchangedValueIsNotWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "r.json")
	long := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	save := func(d *Dir, v any) (written bool) {
		t.Helper()
		if err := d.Role("r").Save(v); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, long, long); err != nil {
			t.Fatal(err)
		}
		return !info.ModTime().Equal(long)
	}
	d := Open(dir)
	for i, step := range []struct {
		d       *Dir
		v       any
		written bool
	}{
		{d, 1, true}, {d, 1, false}, {d, 2, true}, {Open(dir), 2, false}, {d, 1, true},
	} {
		if got := save(step.d, step.v); got != step.written {
			t.Errorf("step %d: written: %v", i, got)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if !save(d, 1) {
		t.Error("the file was removed, and not written again")
	}
}

func TestCorruptFileIsAnErrorAndStays(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "r.json")
	for _, text := range []string{"", "{", "\x00\x00\x00", `{"N":1}x`, `{"N":"text"}`, `[]`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var v value
		err := Open(dir).Role("r").Load(&v)
		if err == nil || errors.Is(err, kozo.ErrNoValue) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "move it away") {
			t.Errorf("%q: error %v", text, err)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != text {
			t.Errorf("%q has become %q (%v)", text, now, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Open(dir).Role("r").Load(new(value)); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a directory: error %v", err)
	}
}

func TestBounds(t *testing.T) {
	dir := t.TempDir()
	role := Open(dir).Role("r")
	if err := role.(*file).put(make([]byte, MaxSize+1)); err == nil {
		t.Error("a value that is too long was saved")
	}
	if err := role.Save(make(chan int)); err == nil {
		t.Error("a channel was saved")
	}
	expectFiles(t, dir)
	path := filepath.Join(dir, "r.json")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, MaxSize+1); err != nil {
		t.Fatal(err)
	}
	if err := role.Load(new(any)); err == nil || !strings.Contains(err.Error(), "more than 64MiB") {
		t.Errorf("a file that is too long: error %v", err)
	}
}

func TestNamesAreNotPaths(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "storage")
	d := Open(dir)
	for _, name := range []kozo.RoleName{"", "..", ".", "../x", "/etc/x", "a/b", `a\b`, ".hidden", "a\x00", "c:x", "a\nb"} {
		if err := d.Role(name).Save(1); err == nil {
			t.Errorf("%q: saved", name)
		}
		if err := d.Role(name).Load(new(any)); err == nil || errors.Is(err, kozo.ErrNoValue) {
			t.Errorf("%q: error %v", name, err)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("something was created")
	}
	for _, name := range []kozo.RoleName{"a", "a.json1", "構造", "_x-1.y"} {
		if err := d.Role(name).Save(string(name)); err != nil {
			t.Error(err)
		}
	}
	expectFiles(t, dir, "_x-1.y.json", "a.json", "a.json1.json", "構造.json")
}

func TestManyAtOnce(t *testing.T) {
	d := Open(t.TempDir())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 5 {
				if err := d.Role("r").Save(i); err != nil {
					t.Error(err)
				}
				var got int
				if err := d.Role("r").Load(&got); err != nil || got < 0 || got > 7 {
					t.Errorf("loaded %v (%v)", got, err)
				}
			}
		})
	}
	wg.Wait()
	expectFiles(t, d.path, "r.json")
}

func TestUnwritableDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Open(path).Role("r").Save(1); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
}

func TestNone(t *testing.T) {
	if err := None().Save(1); err != kozo.ErrNoStorage {
		t.Errorf("error %v", err)
	}
	if err := None().Load(new(int)); err != kozo.ErrNoStorage {
		t.Errorf("error %v", err)
	}
}

// A role and a transport can have any name, and each has its own file.
func TestTransportsHaveFilesOfTheirOwn(t *testing.T) {
	dir := Open(t.TempDir())
	stores := []kozo.Storage{dir.Transport("onion"), dir.Role("onion"), dir.Role("onion.transport"), dir.Transport("onion.json")}
	for i, s := range stores {
		if err := s.Save(i); err != nil {
			t.Fatal(err)
		}
	}
	for i, s := range stores {
		var got int
		if err := s.Load(&got); err != nil || got != i {
			t.Errorf("store %d has %d, %v", i, got, err)
		}
	}
	if err := dir.Transport("../x").Save(1); err == nil {
		t.Error("a name led out of the directory")
	}
}
