package python

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestInPython runs the tests that are written in Python.
func TestInPython(t *testing.T) {
	if out, err := exec.Command("python3", "-c", "import sys; sys.exit(sys.version_info < (3, 9))").CombinedOutput(); err != nil {
		t.Skipf("this needs python3, 3.9 or later: %v %s", err, out)
	}
	suites, err := filepath.Glob("tests/test_*.py")
	if err != nil || len(suites) < 5 {
		t.Fatal("the tests are not there:", suites, err)
	}
	for _, suite := range suites {
		name := strings.TrimSuffix(filepath.Base(suite), ".py")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "python3", "-B", "-m", "unittest", name)
			cmd.Dir = "tests"
			dir, err := filepath.Abs(".")
			if err != nil {
				t.Fatal(err)
			}
			cmd.Env = append(os.Environ(), "PYTHONPATH="+dir, "PYTHONUTF8=1")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			} else if !bytes.Contains(out, []byte("\nRan ")) {
				t.Errorf("no test has run:\n%s", out)
			}
		})
	}
}

func TestHas(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, text string
		want       bool
	}{
		{"a.py", "x = 1\nroleInfo = {}\n", true},
		{"a.py", "transportInfo={\n", true},
		{"a.py", "transportInfo\t=", true},
		{"a.py", "#!/usr/bin/env python3\nprint('{}')\n# roleInfo = {}\n", false},
		{"a.py", "  roleInfo = {}\n", false},
		{"a.py", "roleInformation = {}\n", false},
		{"a.py", "", false},
		{"a.sh", "roleInfo = {}\n", false},
		{"a", "roleInfo = {}\n", false},
	} {
		path := filepath.Join(dir, c.name)
		write(t, path, c.text)
		if got, err := Has(path); got != c.want || err != nil {
			t.Errorf("%s with %q: %v, %v", c.name, c.text, got, err)
		}
	}
	if _, err := Has(filepath.Join(dir, "missing.py")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a missing file:", err)
	}
	large := filepath.Join(dir, "large.py")
	write(t, large, "")
	if err := os.Truncate(large, MaxFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Has(large); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Error("a large file:", err)
	}
}

func TestCommand(t *testing.T) {
	t.Setenv("CACHE_DIRECTORY", t.TempDir())
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	_, err := Command("/x/bell.py")
	if err == nil || !errors.Is(err, exec.ErrNotFound) || !strings.Contains(err.Error(), "install Python 3.9 or later") {
		t.Error("without python3:", err)
	}
	python := filepath.Join(bin, "python3")
	write(t, python, "#!/bin/sh\n")
	if err := os.Chmod(python, 0o755); err != nil {
		t.Fatal(err)
	}
	argv, err := Command("/x/bell.py")
	if err != nil || len(argv) != 3 || argv[0] != python || argv[2] != "/x/bell.py" {
		t.Fatal(argv, err)
	}
	check(t, argv[1])
}

// TestUnpackAtOnce has many unpack into the same place while somebody breaks it.
func TestUnpackAtOnce(t *testing.T) {
	place := filepath.Join(t.TempDir(), "not", "there")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 5 {
				dir, err := Unpack([]string{place})
				if err != nil {
					t.Error(err)
					return
				}
				// Whatever stands there is whole at any moment.
				if text, err := os.ReadFile(filepath.Join(dir, "kozo", "role.py")); err != nil || !bytes.Contains(text, []byte("class Role")) {
					t.Errorf("%v: %d bytes", err, len(text))
				}
			}
		})
	}
	all.Wait()
	dir, err := Unpack([]string{place})
	if err != nil {
		t.Fatal(err)
	}
	check(t, dir)
}

func TestUnpackRepairs(t *testing.T) {
	place := t.TempDir()
	dir, err := Unpack([]string{place})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "kozo", "role.py"), "")
	if err := os.Remove(filepath.Join(dir, "__main__.py")); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "kozo", "host.py")
	if err := errors.Join(os.Rename(link, filepath.Join(place, "same")), os.Symlink(filepath.Join(place, "same"), link)); err != nil {
		t.Fatal(err)
	}
	if again, err := Unpack([]string{place}); again != dir || err != nil {
		t.Fatal(again, err)
	}
	check(t, dir)
}

// check says what is wrong with an unpacked directory.
func check(t *testing.T, dir string) {
	t.Helper()
	want, err := contents()
	if err != nil {
		t.Fatal(err)
	}
	if len(want) < 10 || want["kozo/role.py"] == nil || want["__main__.py"] == nil {
		t.Fatal("files are missing from the program:", len(want))
	}
	found := 0
	err = filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		switch {
		case err != nil:
			return err
		case info.IsDir():
			if info.Mode().Perm() != 0o700 {
				t.Errorf("%s has the mode %v", path, info.Mode())
			}
			return nil
		case info.Mode() != 0o600:
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		found++
		name, _ := filepath.Rel(dir, path)
		if text, err := os.ReadFile(path); err != nil || !bytes.Equal(text, want[filepath.ToSlash(name)]) {
			t.Errorf("%s is not what it should be (%v)", name, err)
		}
		return nil
	})
	if err != nil || found != len(want) {
		t.Errorf("%d of %d files: %v", found, len(want), err)
	}
}

func TestUnpackSomewhereElse(t *testing.T) {
	open := t.TempDir()
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	good, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(good, link); err != nil {
		t.Fatal(err)
	}
	dir, err := Unpack([]string{file, open, link, good})
	if err != nil || filepath.Dir(dir) != good {
		t.Error(dir, err)
	}
	_, err = Unpack([]string{file, open})
	if err == nil || !strings.Contains(err.Error(), "XDG_CACHE_HOME") || !strings.Contains(err.Error(), "chmod go-w") {
		t.Error("no place at all:", err)
	}
}

func TestPlaces(t *testing.T) {
	t.Setenv("CACHE_DIRECTORY", "/var/cache/kozo:relative")
	t.Setenv("XDG_CACHE_HOME", "/home/x/.cache")
	t.Setenv("TMPDIR", "/some/tmp")
	got := places()
	if len(got) != 3 || got[0] != "/var/cache/kozo" || got[1] != "/home/x/.cache/kozo" || !strings.HasPrefix(got[2], "/some/tmp/kozo-") {
		t.Error(got)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
