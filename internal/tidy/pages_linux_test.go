package tidy

import (
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// program returns where the program file of this process is mapped and unchanged,
// and how many KiB of each part are in memory.
func program(t *testing.T) (areas []area, resident []int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Skip(err)
	}
	areas = unchanged(strings.NewReader(string(text)))
	for _, a := range areas {
		_, rest, _ := strings.Cut("\n"+string(text), "\n"+address(a)+" ")
		match := regexp.MustCompile(`\nRss: +(\d+) kB`).FindStringSubmatch(rest)
		if match == nil {
			t.Fatalf("nothing about %s in\n%s", address(a), text)
		}
		n, _ := strconv.Atoi(match[1])
		resident = append(resident, n)
	}
	return areas, resident
}

func address(a area) string {
	pad := func(n uintptr) string {
		s := strconv.FormatUint(uint64(n), 16)
		return strings.Repeat("0", max(8-len(s), 0)) + s
	}
	return pad(a.from) + "-" + pad(a.to)
}

// TestTheProgramIsUnloaded reads all of this program into memory first, as a start
// does, and goes on to run when it is dropped.
func TestTheProgramIsUnloaded(t *testing.T) {
	areas, _ := program(t)
	if len(areas) == 0 {
		t.Fatal("nothing of the program is unchanged")
	}
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Skip(err)
	}
	defer memory.Close()
	for _, a := range areas {
		if _, err := io.Copy(io.Discard, io.NewSectionReader(memory, int64(a.from), int64(a.to-a.from))); err != nil {
			t.Skip(err)
		}
	}
	_, before := program(t)
	unload()
	_, after := program(t)
	for i, a := range areas {
		// What this test needs has come back meanwhile.
		if size := int(a.to-a.from) >> 10; before[i] < size*9/10 || after[i] >= before[i] {
			t.Errorf("%s: of %d KiB %d were in memory, and then %d", address(a), size, before[i], after[i])
		}
	}
}
