package logger

import (
	"errors"
	"fmt"
	"strings"

	"kozo"
)

// verbs are the letters after a percent sign that become something. The line
// break %n and the tab %t are left out on purpose.
const verbs = "YyCgGmBbhAawuVUWedjkHlIPpMSsfZz%c+vrFDxTXR"

// maxWidth bounds the width of a field, as in %5d.
const maxWidth = 64

// checkPrefix says whether a prefix has only verbs that are known, since the
// others would stand in every line as they are.
func checkPrefix(prefix string) error {
	if prefix != kozo.Printable(prefix) {
		return errors.New("the prefix has characters that cannot be printed; it must fit on one line")
	}
	for rest := prefix; ; {
		var found bool
		if _, rest, found = strings.Cut(rest, "%"); !found {
			return nil
		}
		field := strings.TrimLeft(rest, "-_^#0")
		width := 0
		for len(field) > 0 && field[0] >= '0' && field[0] <= '9' {
			width = min(width*10+int(field[0]-'0'), maxWidth+1)
			field = field[1:]
		}
		if width > maxWidth {
			return fmt.Errorf("a field of the prefix is wider than %d characters", maxWidth)
		}
		colons := len(field) - len(strings.TrimLeft(field, ":"))
		field = field[colons:]
		if field == "" {
			return errors.New("the prefix ends with an unfinished %; write %% for a percent sign")
		}
		if verb := firstRune(field); !strings.Contains(verbs, verb) || colons > 3 || colons > 0 && verb != "z" {
			return fmt.Errorf("%%%s is not a verb of strftime that is known here; use %%Y %%m %%d %%H %%M %%S and the like, or %%%% for a percent sign",
				strings.Repeat(":", colons)+verb)
		}
		rest = field[1:]
	}
}

func firstRune(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}
