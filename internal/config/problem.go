package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Problem is something wrong, or doubtful, at one place of a file.
type Problem struct {
	File   string // as it was given to Load or Parse
	Line   int    // from 1; 0 for the file as a whole
	Column int    // in characters, from 1; 0 for the file as a whole
	Path   string // the block: role "timer1" of node "clock"; empty for the root

	Message string // what is wrong
	Hint    string // what to do about it; can be empty
	Source  string // the line as it stands in the file, without its end
	Note    bool   // of a warning: all is well, and this is good to know
}

// String prints the problem as FILE:LINE:COLUMN: PATH: MESSAGE (HINT) with the
// line below it and a caret under the place. It has no newline at the end.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Summary())
	if p.Line > 0 && strings.TrimSpace(p.Source) != "" {
		text, caret := excerpt(p.Source, p.Column)
		gutter := fmt.Sprintf("%5d | ", p.Line)
		fmt.Fprintf(&b, "\n%s%s\n%s| %s^", gutter, text, strings.Repeat(" ", len(gutter)-2), caret)
	}
	return b.String()
}

// Summary is the first line of String.
func (p Problem) Summary() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// The part of a long line that is shown, in characters.
const (
	excerptWidth = 100
	excerptLead  = 60 // at most this much of it before the place
)

// excerpt returns the part of a line around a column that is worth showing, and
// the blanks that bring a caret under the column.
func excerpt(line string, column int) (text, indent string) {
	runes := []rune(strings.ToValidUTF8(line, string(utf8.RuneError)))
	at := max(0, min(column-1, len(runes)))
	from := 0
	if len(runes) > excerptWidth && at > excerptLead {
		from = at - excerptLead
	}
	to := min(len(runes), from+excerptWidth)
	var b, blanks strings.Builder
	if from > 0 {
		b.WriteString("…")
		blanks.WriteString(" ")
	}
	for i, r := range runes[from:to] {
		if unicode.IsControl(r) && r != '\t' {
			r = '·' // a control character would disturb the terminal
		}
		b.WriteRune(r)
		switch {
		case from+i >= at:
		case r == '\t': // as wide as above
			blanks.WriteRune(r)
		default:
			blanks.WriteRune(' ')
		}
	}
	if to < len(runes) {
		b.WriteString("…")
	}
	return strings.TrimRight(b.String(), " \t"), blanks.String()
}

// maxProblems is how many problems of one file are kept.
const maxProblems = 100

// Problems is the error for a file that is wrong: everything that was found.
type Problems struct {
	List []Problem // in the order of their places; never empty
	More int       // further problems that were found and not kept
}

// Error prints all problems, one after the other.
func (p *Problems) Error() string {
	var b strings.Builder
	for i, problem := range p.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(problem.String())
	}
	if p.More > 0 {
		fmt.Fprintf(&b, "\nand %d more problems", p.More)
	}
	return b.String()
}

// arrange sorts problems by place, and leaves one of those that say the same of
// the same place: a block with an anchor is looked at wherever it is used.
func arrange(list []Problem) []Problem {
	slices.SortStableFunc(list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	type key struct {
		line, column int
		message      string
	}
	seen := map[key]bool{}
	return slices.DeleteFunc(list, func(p Problem) bool {
		k := key{p.Line, p.Column, p.Message}
		again := seen[k]
		seen[k] = true
		return again
	})
}
