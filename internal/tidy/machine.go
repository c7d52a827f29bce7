package tidy

import (
	"bytes"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
)

// memory returns how many bytes of memory the program can have on a machine with
// these files: what the machine has, or what its control groups permit. Where
// nothing says so it is as if there were no bound.
func memory(root fs.FS) uint64 {
	most := uint64(math.MaxUint64)
	info, _ := fs.ReadFile(root, "proc/meminfo")
	for line := range bytes.Lines(info) {
		if words := strings.Fields(string(line)); len(words) > 1 && words[0] == "MemTotal:" {
			if n, err := strconv.ParseUint(words[1], 10, 50); err == nil {
				most = n << 10
			}
		}
	}
	groups, _ := fs.ReadFile(root, "proc/self/cgroup")
	for line := range bytes.Lines(groups) {
		group, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "0::/")
		if !ok {
			continue
		}
		// The bounds of all groups around it hold too.
		for at := path.Join("sys/fs/cgroup", group); strings.HasPrefix(at, "sys/fs/cgroup"); at = path.Dir(at) {
			limit, _ := fs.ReadFile(root, path.Join(at, "memory.max"))
			if n, err := strconv.ParseUint(strings.TrimSpace(string(limit)), 10, 64); err == nil {
				most = min(most, n)
			}
		}
	}
	return most
}
