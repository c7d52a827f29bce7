package logger

import (
	"strings"
	"testing"
	"time"

	"github.com/itchyny/timefmt-go"
)

// FuzzPrefix checks that a prefix that is accepted is short, stays on its line,
// and is understood whole: no percent sign is left but those that were asked for.
func FuzzPrefix(f *testing.F) {
	at := time.Date(1969, 12, 31, 23, 59, 59, 999, time.FixedZone("", -3*3600))
	f.Fuzz(func(t *testing.T, prefix string) {
		if checkPrefix(prefix) != nil {
			return
		}
		text := timefmt.Format(at, prefix)
		if strings.ContainsAny(text, "\r\n") {
			t.Errorf("%q becomes the lines %q", prefix, text)
		}
		if len(text) > maxWidth*(len(prefix)+1) {
			t.Errorf("%q becomes %d bytes", prefix, len(text))
		}
		if strings.Contains(text, "%") && !percentAsked(prefix) {
			t.Errorf("%q becomes %q", prefix, text)
		}
	})
}

// percentAsked says whether a prefix has %%, perhaps with flags or a width
// between the two.
func percentAsked(prefix string) bool {
	_, rest, _ := strings.Cut(prefix, "%")
	for field := range strings.SplitSeq(rest, "%") {
		if strings.Trim(field, "-_^#0123456789") == "" {
			return true
		}
	}
	return false
}
