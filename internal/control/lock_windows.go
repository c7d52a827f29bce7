package control

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// errLocked says that another process has the lock.
var errLocked = errors.New("the file is locked")

// lockFile opens a file that no other process can open until unlock is called
// or the process ends.
func lockFile(path string) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	const nobodyElse = 0
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, nobodyElse, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if err != nil {
		const sharingViolation syscall.Errno = 32
		if errors.Is(err, sharingViolation) {
			return nil, errLocked
		}
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(h), path), nil
}

// unlock lets the file go. It stays: nobody could remove it safely.
func unlock(f *os.File) error { return f.Close() }

// checkDir accepts any directory: the temporary directory of a user is theirs
// alone.
func checkDir(string) error { return nil }
