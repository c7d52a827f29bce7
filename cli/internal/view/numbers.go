package view

import (
	"fmt"
	"strings"

	"kozo"
)

// causes writes the counts of dropped messages in the order in which people
// read them: "12 expired, 3 cut".
func causes(dropped map[string]uint64) string {
	var parts []string
	for _, c := range kozo.Causes() {
		if n := dropped[string(c)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", number(n), c))
		}
	}
	return strings.Join(parts, ", ")
}

// number writes large numbers so that they can be read.
func number(n uint64) string {
	if n < 100_000 {
		return fmt.Sprint(n)
	}
	for _, u := range []struct {
		factor float64
		suffix string
	}{{1e9, "G"}, {1e6, "M"}, {1e3, "k"}} {
		if f := float64(n) / u.factor; f >= 1 {
			return fmt.Sprintf("%.4g%s", f, u.suffix)
		}
	}
	return fmt.Sprint(n)
}

func sizeOf(bytes uint64) string {
	switch {
	case bytes < 10_000:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 10_000_000:
		return fmt.Sprintf("%d kB", bytes/1000)
	}
	return fmt.Sprintf("%d MB", bytes/1_000_000)
}

// shorten takes from the middle of a text what is more than width.
func shorten(text string, width int) string {
	r := []rune(text)
	if len(r) <= width {
		return text
	}
	head := (width - 1) / 2
	return string(r[:head]) + "…" + string(r[len(r)-(width-1-head):])
}
