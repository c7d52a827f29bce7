package injector

import (
	"bytes"
	"errors"
	"math/big"
	"strings"

	"go.starlark.net/syntax"

	"kozo"
)

const (
	maxNesting = kozo.MaxDepth + 8 // brackets: those of the data, of the line, and some to spare
	maxWord    = 512               // characters of a number: those of millions of digits take minutes to read
	maxMarks   = 1 << 17           // punctuation marks outside of text: a bound for the number of values
)

// parsePython reads a tuple of plain values in the notation of Python from a
// line that scan has returned. The parser that it uses is that of a dialect of Python, without the part that
// computes anything.
func parsePython(clean []byte) ([]any, error) {
	// Indentation means something to the parser, and to nobody else here.
	text := bytes.TrimLeft(clean, " \t")
	skipped := len(clean) - len(text)
	root, err := new(syntax.FileOptions).ParseExpr("", text, 0)
	if err != nil {
		if e, ok := errors.AsType[syntax.Error](err); ok {
			return nil, errAt(skipped+int(e.Pos.Col), "%s", plainWords(e.Msg))
		}
		return nil, err
	}
	p := python{skipped}
	for {
		paren, ok := root.(*syntax.ParenExpr)
		if !ok {
			break
		}
		root = paren.X
	}
	switch root := root.(type) {
	case *syntax.TupleExpr:
		return p.list(root.List)
	case *syntax.Literal:
		return nil, errAt(p.column(root), "a message needs more than this; %s", example)
	}
	if _, err := p.value(root); err != nil {
		return nil, err
	}
	return nil, errAt(p.column(root), "a message is a tuple; %s", example)
}

// plainWords rewords what the parser says for people who do not know its terms.
func plainWords(text string) string {
	return strings.NewReplacer(
		"got end of file, want primary expression", "the line ends where a value should be",
		"got end of file", "the line ends",
		"unexpected EOF in string", "the text has no closing quote",
		"want primary expression", "expected a value",
		"after expression, want EOF", "after the message",
		"want ", "expected ",
	).Replace(text)
}

// python turns the syntax tree into values.
type python struct{ skipped int }

func (p python) column(n syntax.Node) int {
	start, _ := n.Span()
	return p.skipped + int(start.Col)
}

func (p python) value(x syntax.Expr) (any, error) {
	switch x := x.(type) {
	case *syntax.Literal:
		return p.literal(x, false)
	case *syntax.UnaryExpr:
		number, ok := x.X.(*syntax.Literal)
		if ok && (x.Op == syntax.MINUS || x.Op == syntax.PLUS) && (number.Token == syntax.INT || number.Token == syntax.FLOAT) {
			return p.literal(number, x.Op == syntax.MINUS)
		}
	case *syntax.Ident:
		return p.word(x)
	case *syntax.ParenExpr:
		return p.value(x.X)
	case *syntax.TupleExpr:
		return p.list(x.List)
	case *syntax.ListExpr:
		return p.list(x.List)
	case *syntax.DictExpr:
		return p.dict(x)
	}
	return nil, errAt(p.column(x), "only plain values can be sent, nothing that would have to be worked out")
}

func (p python) word(x *syntax.Ident) (any, error) {
	switch x.Name {
	case "None":
		return nil, nil
	case "True":
		return true, nil
	case "False":
		return false, nil
	}
	if python, ok := map[string]string{"null": "None", "nil": "None", "true": "True", "false": "False"}[x.Name]; ok {
		return nil, errAt(p.column(x), "%s is written %s in a tuple", x.Name, python)
	}
	return nil, errAt(p.column(x), "%s is not a value; put text in quotes", show(x.Name))
}

func (p python) literal(x *syntax.Literal, negative bool) (any, error) {
	switch v := x.Value.(type) {
	case string:
		if x.Token == syntax.BYTES {
			return []byte(v), nil
		}
		return v, nil
	case float64:
		if negative {
			v = -v
		}
		return v, nil
	case int64:
		if negative {
			v = -v
		}
		return v, nil
	case *big.Int:
		if negative {
			v = new(big.Int).Neg(v)
		}
		switch {
		case v.IsInt64():
			return v.Int64(), nil
		case v.IsUint64():
			return v.Uint64(), nil
		}
	}
	return nil, errAt(p.column(x), "the number does not fit into 64 bits; put it in quotes to send it as text")
}

func (p python) list(elements []syntax.Expr) ([]any, error) {
	values := make([]any, len(elements))
	for i, x := range elements {
		var err error
		if values[i], err = p.value(x); err != nil {
			return nil, err
		}
	}
	return values, nil
}

func (p python) dict(x *syntax.DictExpr) (any, error) {
	values := make(map[string]any, len(x.List))
	for _, e := range x.List {
		entry, ok := e.(*syntax.DictEntry)
		if !ok {
			return nil, errAt(p.column(e), "only plain values can be sent, nothing that would have to be worked out")
		}
		key, err := p.value(entry.Key)
		if err != nil {
			return nil, err
		}
		name, ok := key.(string)
		if !ok {
			return nil, errAt(p.column(entry.Key), "the keys of a dictionary are text in quotes, not %s", show(key))
		}
		if values[name], err = p.value(entry.Value); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// scan looks at a line before anything recursive does: it bounds how deep
// brackets are nested, how long numbers are and how many values there can be. It returns the line
// with the prefixes of text in the one form that the parser knows: u is a
// space, B is b, and br is rb.
func scan(line []byte) ([]byte, error) {
	line = bytes.Clone(line)
	depth, marks, word := 0, 0, 0
	for i := 0; i < len(line); i++ {
		c := line[i]
		if word++; !isWord(c) {
			word = 0
		} else if word > maxWord {
			return nil, errAt(column(line, i), "a number or a word has more than %d characters", maxWord)
		}
		switch {
		case c == '\'' || c == '"':
			fixPrefix(line[:i])
			i = endOfText(line, i)
		case c == '(' || c == '[' || c == '{':
			if depth++; depth > maxNesting {
				return nil, errAt(column(line, i), "brackets are nested more than %d deep", maxNesting)
			}
			marks++
		case c == ')' || c == ']' || c == '}':
			depth--
		case c == '#' || c == '\\' || c == ';':
			return nil, errAt(column(line, i), "%q means nothing outside of quotes", c)
		case !isWord(c) && c != ' ' && c != '\t':
			marks++
		}
		if marks > maxMarks {
			return nil, errAt(column(line, i), "the line has more than %d values", maxMarks)
		}
	}
	return line, nil
}

// endOfText returns where the text ends whose opening quote is at start. A
// missing end is for the parser to complain about.
func endOfText(line []byte, start int) int {
	quote := line[start : start+1]
	if triple := bytes.Repeat(quote, 3); bytes.HasPrefix(line[start:], triple) {
		quote = triple
	} else if bytes.HasPrefix(line[start+1:], quote) {
		return start + 1
	}
	for i := start + len(quote); i < len(line); i++ {
		if line[i] == '\\' {
			i++
		} else if bytes.HasPrefix(line[i:], quote) {
			return i + len(quote) - 1
		}
	}
	return len(line)
}

// fixPrefix rewrites the letters before an opening quote, at the end of before.
func fixPrefix(before []byte) {
	start := len(before)
	for start > 0 && isWord(before[start-1]) {
		start--
	}
	prefix := before[start:]
	switch strings.ToLower(string(prefix)) {
	case "u", "ur":
		prefix[0] = ' '
		copy(prefix[1:], "r")
	case "r", "b", "rb":
		copy(prefix, bytes.ToLower(prefix))
	case "br":
		copy(prefix, "rb")
	}
}

func isWord(c byte) bool {
	return c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= 0x80
}
