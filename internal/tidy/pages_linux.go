package tidy

import (
	"os"
	"syscall"
)

// unload drops the pages of the program file. Nearly all of them are in memory
// after the start, and a program that has little to do needs a third. Those are
// fetched back as they are used, from the cache of the kernel as long as that has
// them.
func unload() {
	smaps, err := os.Open("/proc/self/smaps")
	if err != nil {
		return // a kernel without this table: the pages stay
	}
	defer smaps.Close()
	for _, a := range unchanged(smaps) {
		// If the kernel does not want to then the pages stay.
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, a.from, a.to-a.from, syscall.MADV_DONTNEED)
	}
}
