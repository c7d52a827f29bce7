package tidy

import (
	"bufio"
	"io"
	"strconv"
	"strings"
)

// area is a part of the address space, from the first address to that after the
// last.
type area struct{ from, to uintptr }

// unchanged finds, in a file like /proc/self/smaps, what is mapped of files and
// is as it is in the file: the program itself, above all. Its pages can be
// dropped, since the kernel brings back those that are needed. What the program
// may write to does not count, nor what it or somebody else has written to
// already, as a debugger does to set a breakpoint: that is nowhere but in memory.
func unchanged(smaps io.Reader) []area {
	var areas []area
	var at area
	readable, clean, swapped := false, false, true
	finish := func() {
		if readable && clean && !swapped {
			areas = append(areas, at)
		}
	}
	for s := bufio.NewScanner(smaps); s.Scan(); {
		words := strings.Fields(s.Text())
		if len(words) < 2 {
			continue
		}
		switch {
		case words[0] == "Anonymous:":
			clean = words[1] == "0"
		case words[0] == "Swap:":
			swapped = words[1] != "0"
		case !strings.HasSuffix(words[0], ":"):
			finish()
			var known bool
			at, known = addresses(words[0])
			readable = known && len(words) > 5 && strings.HasPrefix(words[5], "/") && (words[1] == "r-xp" || words[1] == "r--p")
			clean, swapped = false, true // until it is said that it is otherwise
		}
	}
	finish()
	return areas
}

// addresses reads two addresses with a line between them.
func addresses(text string) (a area, ok bool) {
	first, second, _ := strings.Cut(text, "-")
	from, err := strconv.ParseUint(first, 16, strconv.IntSize)
	if err != nil {
		return a, false
	}
	to, err := strconv.ParseUint(second, 16, strconv.IntSize)
	return area{uintptr(from), uintptr(to)}, err == nil && from < to
}
