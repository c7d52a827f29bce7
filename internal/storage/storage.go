// Package storage keeps one JSON file per role, and per transport, in a directory. A value is
// replaced atomically: whatever happens, and whenever, the old value or the new
// one is there whole.
package storage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"kozo"
)

// MaxSize is the largest value that a role can store, in bytes of JSON.
const MaxSize = 64 << 20

// Dir is a directory with one file per role. It may be used from several
// goroutines at once, but by one process only.
type Dir struct {
	path string

	mu    sync.Mutex
	files map[kozo.RoleName]*file
}

// Open returns the storage in a directory. It touches nothing: the directory is
// created, for this user alone, when the first value is saved.
func Open(dir string) *Dir {
	return &Dir{path: dir, files: map[kozo.RoleName]*file{}}
}

// Role returns the storage of a role: the file NAME.json of the directory. If
// the name is not one ([kozo.CheckName]), loading and saving return an error.
func (d *Dir) Role(name kozo.RoleName) kozo.Storage {
	d.mu.Lock()
	defer d.mu.Unlock()
	f, ok := d.files[name]
	if !ok {
		f = &file{dir: d.path, base: string(name) + ".json", bad: checkFileName(string(name))}
		d.files[name] = f
	}
	return f
}

// Transport returns the storage of a transport on the terms of Role: the file
// NAME.transport, which is that of no role.
func (d *Dir) Transport(name string) kozo.Storage {
	return &file{dir: d.path, base: name + ".transport", bad: checkFileName(name)}
}

// checkFileName refuses what would lead out of the directory, even if the rules
// for names should change one day.
func checkFileName(name string) error {
	if err := kozo.CheckName(name); err != nil {
		return fmt.Errorf("cannot store anything for %q: %w", name, err)
	}
	if strings.ContainsAny(name, `/\:`) || !filepath.IsLocal(name+".json") {
		return fmt.Errorf("cannot store anything for %q: its name is not one for a file", name)
	}
	return nil
}

// file is the storage of one role or transport.
type file struct {
	dir  string
	base string
	bad  error // why this role cannot have a file

	mu     sync.Mutex
	tidy   bool // what a killed process left behind was removed
	synced bool // the directory is known to be on the disk as it is
}

var _ kozo.Storage = (*file)(nil)

func (f *file) path() string { return filepath.Join(f.dir, f.base) }

// Load reads the file into v. A file that is not what was saved is an error and
// stays as it is, since a person may want to look at it.
func (f *file) Load(v any) error {
	if f.bad != nil {
		return f.bad
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	text, err := f.read()
	if errors.Is(err, fs.ErrNotExist) {
		return kozo.ErrNoValue
	}
	if err != nil {
		return fmt.Errorf("cannot load what was stored: %w", err)
	}
	if err := json.Unmarshal(text, v); err != nil {
		return fmt.Errorf("%s does not hold what was stored there (%w); restore it, or move it away to begin anew",
			f.path(), err)
	}
	return nil
}

// read returns the content of the file, which has at most MaxSize bytes.
func (f *file) read() ([]byte, error) {
	// Opening something like a pipe could wait for ever.
	info, err := os.Stat(f.path())
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file; move it away", f.path())
	}
	if info.Size() > MaxSize {
		return nil, fmt.Errorf("%s has more than %v bytes; move it away", f.path(), kozo.Size(MaxSize))
	}
	r, err := os.Open(f.path())
	if err != nil {
		return nil, err
	}
	defer r.Close()
	// Should it grow just now, what is read is cut, and not JSON.
	return io.ReadAll(io.LimitReader(r, MaxSize))
}

// Save replaces the file. It writes nothing if that would change nothing.
func (f *file) Save(v any) error {
	if f.bad != nil {
		return f.bad
	}
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("cannot store a %T: %w", v, err)
	}
	return f.put(append(text, '\n'))
}

func (f *file) put(text []byte) error {
	if len(text) > MaxSize {
		return fmt.Errorf("cannot store %d bytes; the most is %v", len(text), kozo.Size(MaxSize))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.replace(text); err != nil {
		return fmt.Errorf("cannot store in %s: %w", f.path(), err)
	}
	return nil
}

func (f *file) replace(text []byte) error {
	if f.unchanged(text) {
		return f.sync()
	}
	if err := makeDir(f.dir); err != nil {
		return err
	}
	if !f.tidy {
		f.removeLeftovers()
		f.tidy = true
	}
	if err := replaceFile(f.path(), text); err != nil {
		return err
	}
	f.synced = false
	return f.sync()
}

// sync makes sure that the file is found after a power cut.
func (f *file) sync() error {
	if f.synced {
		return nil
	}
	if err := syncDir(f.dir); err != nil {
		return err
	}
	f.synced = true
	return nil
}

// unchanged looks at the file itself, since somebody may have removed or
// restored it. Reading is cheap where writing wears.
func (f *file) unchanged(text []byte) bool {
	info, err := os.Stat(f.path())
	if err != nil || info.Size() != int64(len(text)) {
		return false
	}
	old, err := f.read()
	return err == nil && bytes.Equal(old, text)
}

// removeLeftovers removes the temporary files of this role that a process left
// when it was killed during a save.
func (f *file) removeLeftovers() {
	entries, err := os.ReadDir(f.dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), "."+f.base)
		if ok && number != "" && strings.Trim(number, "0123456789") == "" {
			os.Remove(filepath.Join(f.dir, e.Name())) // it is in nobody's way if it stays
		}
	}
}

// makeDir creates the directory if it is missing, so that it is still there
// after a power cut.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return syncDir(filepath.Dir(dir))
}

// None returns the storage of a role on a node that stores nothing.
func None() kozo.Storage { return none{} }

type none struct{}

func (none) Load(any) error { return kozo.ErrNoStorage }
func (none) Save(any) error { return kozo.ErrNoStorage }
