// Package python has the part of Kōzō that is written in Python: what lets
// somebody write a role or a transport as a Python class. It is embedded in the
// program, and unpacked where it is needed.
package python

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
)

//go:embed __main__.py kozo/*.py
var files embed.FS

// MaxFile is the size of the largest file that is looked into, in bytes.
const MaxFile = 4 << 20

// info finds the dictionary that makes a file a role or a transport.
var info = regexp.MustCompile(`(?m)^(roleInfo|transportInfo)[ \t]*=`)

// Has says whether a file is a role or a transport that is written with this
// package: a .py file with a roleInfo or transportInfo dictionary.
func Has(path string) (bool, error) {
	if filepath.Ext(path) != ".py" {
		return false, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	stat, err := f.Stat()
	switch {
	case err != nil:
		return false, err
	case stat.Size() > MaxFile:
		return false, fmt.Errorf("%s has more than %d bytes", path, MaxFile)
	}
	text := make([]byte, stat.Size())
	n, err := f.ReadAt(text, 0)
	if n < len(text) {
		return false, err // it has become shorter while it was read
	}
	return info.Match(text), nil
}

// Command returns the command line that runs a file for which [Has] is true; the
// arguments that a program gets come after it. What it needs is unpacked if it is
// not there already. It may be called by several programs at once.
func Command(path string) ([]string, error) {
	python, err := exec.LookPath("python3")
	if err != nil {
		return nil, fmt.Errorf("%s is written in Python, and there is no python3 in the PATH (%w); install Python 3.9 or later", path, err)
	}
	dir, err := Unpack(places())
	if err != nil {
		return nil, err
	}
	return []string{python, dir, path}, nil
}

// places returns where to unpack, best first: what systemd has made for the
// service, the cache of the user, and the directory for temporary files.
func places() []string {
	var list []string
	for _, dir := range filepath.SplitList(os.Getenv("CACHE_DIRECTORY")) {
		if filepath.IsAbs(dir) {
			list = append(list, dir)
		}
	}
	if dir, err := os.UserCacheDir(); err == nil {
		list = append(list, filepath.Join(dir, "kozo"))
	}
	return append(list, filepath.Join(os.TempDir(), fmt.Sprintf("kozo-%d", os.Getuid())))
}

// Unpack makes sure that one of the places has a directory with the files, which
// nobody else can write to, and returns it. The name of the directory says what
// is in it, so other versions have others. Each file is checked, and put right in
// one step if it is not what it should be.
func Unpack(places []string) (string, error) {
	want, err := contents()
	if err != nil {
		return "", err
	}
	var errs []error
	for _, place := range places {
		dir := filepath.Join(place, "python-"+digest(want))
		err := fill(place, dir, want)
		if err == nil {
			return dir, nil
		}
		errs = append(errs, err)
	}
	return "", fmt.Errorf("there is no place to unpack what roles and transports in Python need; give the node one with "+
		"the environment variable XDG_CACHE_HOME: %w", errors.Join(errs...))
}

// contents returns the files by their paths, with slashes.
func contents() (map[string][]byte, error) {
	want := map[string][]byte{}
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		want[path], err = files.ReadFile(path)
		return err
	})
	return want, err
}

func digest(want map[string][]byte) string {
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(want)) {
		fmt.Fprintf(h, "%s %d\n", path, len(want[path]))
		h.Write(want[path])
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func fill(place, dir string, want map[string][]byte) error {
	if err := os.MkdirAll(place, 0o700); err != nil {
		return err
	}
	for _, d := range []string{place, dir, filepath.Join(dir, "kozo")} {
		if err := os.Mkdir(d, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := private(d); err != nil {
			return err
		}
	}
	for path, text := range want {
		if err := put(filepath.Join(dir, filepath.FromSlash(path)), text); err != nil {
			return err
		}
	}
	return nil
}

// put makes sure that a file has a content. Whoever reads it meanwhile gets the
// old or the new one.
func put(path string, text []byte) error {
	if stat, err := os.Lstat(path); err == nil && stat.Mode().IsRegular() {
		if got, err := os.ReadFile(path); err == nil && bytes.Equal(got, text) {
			return nil
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}
