// Package term writes for people: colours where a terminal shows them, tables
// that line up, and spans of time in words.
package term

import (
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Style colours text, or leaves it as it is. The zero value leaves it.
type Style struct{ Colour bool }

// StyleFor returns the style for what is written to w: colours only on a
// terminal, and none if the environment, which lookup reads, asks for none with
// NO_COLOR or TERM=dumb.
func StyleFor(w io.Writer, lookup func(string) string) Style {
	if lookup("NO_COLOR") != "" || lookup("TERM") == "dumb" {
		return Style{}
	}
	if runtime.GOOS == "windows" && lookup("WT_SESSION") == "" {
		return Style{} // the old console prints the codes
	}
	return Style{Colour: IsTerminal(w)}
}

// IsTerminal says whether w seems to be a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (s Style) paint(code, text string) string {
	if !s.Colour || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// Bold is for what a thing is called.
func (s Style) Bold(text string) string { return s.paint("1", text) }

// Dim is for what one can do without.
func (s Style) Dim(text string) string { return s.paint("2", text) }

// Good is for what works.
func (s Style) Good(text string) string { return s.paint("32", text) }

// Bad is for what does not work.
func (s Style) Bad(text string) string { return s.paint("31", text) }

// Pending is for what will work by itself.
func (s Style) Pending(text string) string { return s.paint("33", text) }

// Distinct returns text in the colour number i of a few that can be told apart.
func (s Style) Distinct(i int, text string) string {
	codes := [...]string{"36", "35", "33", "32", "34", "96", "95", "93", "92", "94"}
	return s.paint(codes[i%len(codes)], text)
}

// Width returns the number of columns that text takes, colours not counted.
func Width(text string) int {
	n := 0
	for len(text) > 0 {
		if rest, ok := strings.CutPrefix(text, "\x1b["); ok {
			if end := strings.IndexByte(rest, 'm'); end >= 0 {
				text = rest[end+1:]
				continue
			}
		}
		r, size := utf8.DecodeRuneInString(text)
		text = text[size:]
		switch {
		case unicode.Is(unicode.Mn, r):
		case wide(r):
			n += 2
		default:
			n++
		}
	}
	return n
}

// wide says whether a terminal gives a character two columns.
func wide(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) || r >= 0xFF01 && r <= 0xFF60
}

// Clean makes text that came from elsewhere safe to print on a terminal: what
// could move the cursor or change colours is shown as an escape.
func Clean(text string) string {
	harmless := func(r rune) bool { return unicode.IsPrint(r) }
	if strings.IndexFunc(text, func(r rune) bool { return !harmless(r) }) < 0 && utf8.ValidString(text) {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case harmless(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// Table lines up cells. Its columns are as wide as their widest cell, and two
// blanks apart.
type Table struct {
	Indent string
	Right  []int // the columns, from 0, whose cells are at the right: numbers
	rows   [][]string
}

// Row adds a row.
func (t *Table) Row(cells ...string) { t.rows = append(t.rows, cells) }

// WriteTo writes the table, a row on a line, without blanks at the end of any.
func (t *Table) WriteTo(w io.Writer) (int64, error) {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			// The last cell of a row may be as long as it likes.
			if i < len(row)-1 || slices.Contains(t.Right, i) {
				widths[i] = max(widths[i], Width(cell))
			}
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		line := t.Indent
		for i, cell := range row {
			gap := strings.Repeat(" ", max(0, widths[i]-Width(cell)))
			if slices.Contains(t.Right, i) {
				line += gap + cell
			} else {
				line += cell + gap
			}
			line += "  "
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// Wrap breaks text at blanks into lines of at most width columns, where words
// allow it. There is always at least one line.
func Wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case Width(line)+1+Width(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	if line != "" || len(lines) == 0 {
		lines = append(lines, line)
	}
	return lines
}

// Span writes a length of time with the precision that people want: "1.2 ms",
// "3.2 s", "5 min", "2 h 10 min", "3 days".
func Span(d time.Duration) string {
	sign := ""
	if d < 0 {
		sign, d = "-", -d
	}
	return sign + span(d)
}

func span(d time.Duration) string {
	switch {
	case d < 9950*time.Microsecond:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1e3)
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", d.Seconds()*1e3)
	case d < 10*time.Second:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", math.Floor(d.Seconds()*10)/10), ".0") + " s"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		if d < 10*time.Minute && int(d.Seconds())%60 != 0 {
			return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
		}
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 24*time.Hour:
		if m := int(d.Minutes()) % 60; m != 0 {
			return fmt.Sprintf("%d h %d min", int(d.Hours()), m)
		}
		return fmt.Sprintf("%d h", int(d.Hours()))
	case d < 48*time.Hour:
		return fmt.Sprintf("1 day %d h", int(d.Hours())-24)
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
