package tree

import (
	"errors"
	"fmt"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// explain says in plain words what the YAML library found, at the place where a
// person would look for it.
func explain(err error, lines []string) *Error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	found, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		return fault(Pos{1, 1}, "this is not YAML: "+err.Error(), "")
	}
	s := syntax{
		lines:   lines,
		at:      Pos{max(1, found.Mark.Line), max(1, found.Mark.Column)},
		begin:   Pos{max(1, found.ContextMark.Line), max(1, found.ContextMark.Column)},
		message: found.Message,
		context: found.ContextMsg,
	}
	if e := s.tab(); e != nil {
		return e
	}
	if e := s.known(); e != nil {
		return e
	}
	message := "this is not YAML: " + s.message
	if s.context != "" {
		message += " " + s.context
	}
	return fault(s.at, message, "")
}

// syntax is an error of the YAML library.
type syntax struct {
	lines     []string
	at, begin Pos // where it was noticed, and where the thing at fault began
	message   string
	context   string
}

func (s *syntax) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}

// before returns what stands left of the place in its line.
func (s *syntax) before(p Pos) string {
	runes := []rune(s.line(p.Line))
	return string(runes[:min(len(runes), p.Column-1)])
}

// char returns the character at a place, or 0 at the end of a line.
func (s *syntax) char(p Pos) rune {
	runes := []rune(s.line(p.Line))
	if p.Column > len(runes) {
		return 0
	}
	return runes[p.Column-1]
}

// tab explains every error that is in truth one of indentation with tabs.
func (s *syntax) tab() *Error {
	i := strings.IndexByte(s.line(s.at.Line)[:s.indent(s.at.Line)], '\t')
	if i < 0 {
		return nil
	}
	return fault(Pos{s.at.Line, i + 1}, "a tab in the indentation", "YAML indents with spaces; replace every tab")
}

// known explains the errors that people make.
func (s *syntax) known() *Error {
	unclosed := func(what, closing string) *Error {
		return fault(s.at, fmt.Sprintf("the %s that begins in line %d is not closed", what, s.begin.Line),
			fmt.Sprintf("is there a %s or a comma missing before this place?", closing))
	}
	first := strings.TrimSpace(s.before(s.at)) == ""
	switch {
	case s.message == "mapping values are not allowed in this context":
		if strings.Contains(strings.TrimLeft(s.before(s.at), " -"), ": ") {
			return fault(s.at, `there is a second ":" in this line`, "put quotes around a value that contains one")
		}
		return s.deeper()
	case s.message == "did not find expected key" && first:
		return fault(s.at, "the indentation of this line fits no block", "align it with the keys that belong to the same block")
	case s.message == "did not find expected key":
		return fault(s.at, "there is something after the end of the value", "put quotes around the whole value")
	case s.message == "could not find expected ':'":
		return fault(s.begin, `expected "key: value" in this line`, `is the ":" missing, or the space after it?`)
	case s.message == "did not find expected ',' or ']'":
		return unclosed("list", `"]"`)
	case s.message == "did not find expected ',' or '}'":
		return unclosed("block", `"}"`)
	case s.message == "did not find expected '-' indicator":
		return fault(s.at, `this line belongs to a list, and does not begin with "- "`, fmt.Sprintf("the list begins in line %d; a block has either keys or list entries", s.begin.Line))
	case s.message == "block sequence entries are not allowed in this context":
		return fault(s.at, `a list entry ("- ") cannot stand here`, "begin the list below its key, on a line of its own")
	case s.message == "did not find expected node content":
		return fault(s.at, "expected a value here", "")
	case s.context == "while scanning a quoted scalar" && strings.HasSuffix(s.message, "end of stream"):
		return fault(s.begin, "the text that begins here has no closing quote", "")
	case s.message == "found unknown escape character":
		return fault(s.at, `unknown escape in a text with double quotes`, `write \\ for a backslash, or use single quotes`)
	case s.message == "found character that cannot start any token":
		return fault(s.at, fmt.Sprintf("a value cannot begin with %q", string(s.char(s.at))), "put quotes around it")
	case strings.HasPrefix(s.message, "unknown anchor"):
		name := strings.Trim(strings.TrimSuffix(strings.TrimPrefix(s.message, "unknown anchor "), " referenced"), "'")
		return fault(s.at, fmt.Sprintf("there is no anchor %q above this line", "&"+name), `put quotes around a value that is to begin with "*"`)
	case s.message == "did not find expected alphabetic or numeric character":
		return fault(s.at, `"&" and "*" are followed by the name of an anchor`, "put quotes around a value that is to begin with one of them")
	case strings.HasPrefix(s.message, "exceeded max depth"):
		return fault(s.at, fmt.Sprintf("blocks and lists are nested more than %d deep", MaxDepth), "")
	case s.message == "did not find expected <document start>":
		return fault(s.at, "there is something after the end of the document", "")
	case s.message == "found incompatible YAML document":
		return fault(s.at, "the version of YAML in this line is not read here", "remove the line")
	case strings.Contains(s.context, "directive") || strings.Contains(s.message, "%"):
		return fault(Pos{s.at.Line, 1}, `a line that begins with "%" is an instruction to YAML, and not a known one`, "remove it")
	}
	return nil
}

// deeper explains a key that is indented below a value: either it is, or the
// line above was meant to be a key.
func (s *syntax) deeper() *Error {
	for n := s.at.Line - 1; n > 0; n-- {
		above := strings.TrimSpace(s.line(n))
		if above == "" || above[0] == '#' {
			continue
		}
		if !strings.Contains(above+" ", ": ") && !strings.HasPrefix(above, "- ") {
			return fault(Pos{n, s.indent(n) + 1}, `expected "key: value" in this line`, `is the ":" missing, or the space after it?`)
		}
		break
	}
	return fault(Pos{s.at.Line, s.indent(s.at.Line) + 1}, "this key is indented deeper than the line above allows", "align it with the keys that belong to the same block")
}

// indent counts the blanks at the beginning of a line.
func (s *syntax) indent(n int) int {
	line := s.line(n)
	return len(line) - len(strings.TrimLeft(line, " \t"))
}
