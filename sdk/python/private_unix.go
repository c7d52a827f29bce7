//go:build unix

package python

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// private says whether a directory is ours, and nobody else can write to it.
func private(dir string) error {
	stat, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner, ok := stat.Sys().(*syscall.Stat_t)
	switch {
	case !stat.IsDir():
		return &fs.PathError{Op: "use", Path: dir, Err: syscall.ENOTDIR}
	case ok && int(owner.Uid) != os.Getuid():
		return fmt.Errorf("%s belongs to another user", dir)
	case stat.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("others can write to %s; run chmod go-w on it", dir)
	}
	return nil
}
