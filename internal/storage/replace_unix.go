//go:build !windows

package storage

import (
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// replaceFile writes a temporary file beside path, brings it to the disk and
// renames it to path. Its name is "." + the name of the file + a number.
func replaceFile(path string, text []byte) error {
	return renameio.WriteFile(path, text, 0o600,
		renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(0o600))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
