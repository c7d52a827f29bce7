package storage

import (
	"os"
	"path/filepath"
)

// replaceFile writes a temporary file beside path, brings it to the disk and
// renames it to path. Its name is "." + the name of the file + a number.
func replaceFile(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // does nothing once it is renamed
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// syncDir does nothing: Windows has no such thing for directories.
func syncDir(string) error { return nil }
