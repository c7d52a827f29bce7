//go:build unix

package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// errLocked says that another process has the lock.
var errLocked = errors.New("the file is locked")

// lockFile opens a file and locks it until unlock is called or the process ends.
func lockFile(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			_ = f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, errLocked
			}
			return nil, &fs.PathError{Op: "lock", Path: path, Err: err}
		}
		// Who had it before may have removed it after we opened it: then the next
		// one would lock another file.
		if isAt(f, path) {
			return f, nil
		}
		_ = f.Close()
	}
}

func isAt(f *os.File, path string) bool {
	ours, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Lstat(path)
	return err == nil && os.SameFile(ours, there)
}

// unlock removes the file and lets it go, in this order.
func unlock(f *os.File) error {
	if isAt(f, f.Name()) {
		_ = os.Remove(f.Name())
	}
	return f.Close()
}

// checkDir refuses a directory in which another user could put a socket of
// theirs in place of ours.
func checkDir(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory; move it away or set KOZO_RUN_DIR to another one", dir)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	if uid := os.Getuid(); int(st.Uid) != uid && st.Uid != 0 {
		return fmt.Errorf("%s belongs to another user; set KOZO_RUN_DIR to a directory of your own", dir)
	}
	if info.Mode().Perm()&0o002 != 0 {
		return fmt.Errorf("everybody can write to %s; run chmod o-w on it", dir)
	}
	return nil
}
