package term

import (
	"fmt"
	"strings"
)

// List joins words as people write them: "clock, scribe and attic".
func List[S ~string](words []S) string {
	const most = 12
	var plain []string
	for i, w := range words {
		if i == most {
			plain = append(plain, fmt.Sprintf("%d more", len(words)-most))
			break
		}
		plain = append(plain, string(w))
	}
	if len(plain) < 2 {
		return strings.Join(plain, "")
	}
	return strings.Join(plain[:len(plain)-1], ", ") + " and " + plain[len(plain)-1]
}

// Count writes a number with its noun: "1 node", "3 nodes".
func Count[N int | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
