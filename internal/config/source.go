package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"kozo/internal/config/shape"
	"kozo/internal/config/tree"
)

// source is the text of a file, to show it beside what is wrong with it.
type source struct {
	name  string
	lines []string
}

// problem makes a Problem at a place, which is moved into the file if it is not
// in it. The zero place is the file as a whole.
func (s *source) problem(pos tree.Pos, path, hint, message string) Problem {
	p := Problem{File: s.name, Path: oneLine(path), Message: oneLine(message), Hint: oneLine(hint)}
	if pos == (tree.Pos{}) || len(s.lines) == 0 {
		return p
	}
	if pos.Line > len(s.lines) { // the end of the file
		pos = tree.Pos{Line: len(s.lines), Column: utf8.RuneCountInString(s.lines[len(s.lines)-1]) + 1}
	}
	p.Line = max(1, pos.Line)
	p.Source = s.lines[p.Line-1]
	p.Column = max(1, min(pos.Column, utf8.RuneCountInString(p.Source)+1))
	return p
}

// oneLine keeps what a file says from disturbing the terminal.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r):
			return '·'
		}
		return r
	}, text)
}

// within narrows the place of a value down to the word of it that a message is
// about: one address in a list of them.
func (s *source) within(n *tree.Node, message string) tree.Pos {
	word := mentioned(n, message)
	if word == "" {
		return n.Pos
	}
	if n.Kind == tree.List {
		i := slices.IndexFunc(n.Items, func(item *tree.Node) bool { return strings.Contains(item.Text, word) })
		return n.Items[i].Pos
	}
	if n.Pos.Line > len(s.lines) {
		return n.Pos
	}
	runes := []rune(s.lines[n.Pos.Line-1])
	from := min(len(runes), n.Pos.Column-1)
	before, _, found := strings.Cut(string(runes[from:]), word)
	if !found { // it is in a later line of the value
		return n.Pos
	}
	return tree.Pos{Line: n.Pos.Line, Column: from + utf8.RuneCountInString(before) + 1}
}

// maxSearched is the longest value, in bytes or entries, in which a word is
// looked for. A longer one is made to keep the reader busy.
const maxSearched = 4096

// mentioned returns the part of a value that a message quotes, or the first word
// of a list that it has in it; nothing if there is none.
func mentioned(n *tree.Node, message string) string {
	if len(n.Text) > maxSearched || len(n.Items) > maxSearched {
		return ""
	}
	words := strings.Split(n.Text, ",")
	if n.Kind == tree.List {
		words = nil
		for _, item := range n.Items {
			words = append(words, item.Text)
		}
	}
	_, rest, _ := strings.Cut(message, `"`)
	if word, _, closed := strings.Cut(rest, `"`); closed && word != "" {
		if slices.ContainsFunc(words, func(w string) bool { return strings.Contains(w, word) }) {
			return word
		}
	}
	for _, w := range words {
		if w = strings.TrimSpace(w); len(words) > 1 && w != "" && strings.Contains(message, w) {
			return w
		}
	}
	return ""
}

// pathOf says what people call the block under some keys.
func pathOf(keys []string) string {
	if len(keys) < 2 || keys[0] != shape.SystemKey {
		return strings.Join(keys, ".")
	}
	path := fmt.Sprintf("node %q", keys[1])
	if len(keys) > 2 {
		path = keys[2] + " of " + path
	}
	if len(keys) > 3 && (keys[2] == shape.RolesKey || keys[2] == shape.TransportsKey) {
		path = fmt.Sprintf("%s %q of node %q", strings.TrimSuffix(keys[2], "s"), keys[3], keys[1])
	}
	return path
}
