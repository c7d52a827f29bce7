package injector

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"kozo"
)

// lineError is an error in a line, after which the next line can be read.
type lineError struct {
	column int // from 1, in characters; 0: of the line as a whole
	text   string
}

func (e *lineError) Error() string {
	if e.column == 0 {
		return e.text
	}
	return fmt.Sprintf("column %d: %s", e.column, e.text)
}

func errAt(column int, format string, args ...any) error {
	return &lineError{column, fmt.Sprintf(format, args...)}
}

// readLine reads a line without its end. A line that is too long is skipped and
// a lineError. What is left before the end of the stream is a line too.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	tooLong := false
	for {
		part, err := r.ReadSlice('\n')
		if tooLong = tooLong || len(line)+len(part) > MaxLine+2; tooLong {
			line = nil
		} else {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == nil, errors.Is(err, io.EOF) && (tooLong || len(line) > 0):
			line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
			if tooLong || len(line) > MaxLine {
				return nil, errAt(0, "the line has more than %d bytes", MaxLine)
			}
			return line, nil
		default:
			return nil, err
		}
	}
}

// isHTTP says whether a line begins a request of a web browser. Pages of
// strangers can make a browser send such requests to this machine, with lines
// of their own choice after this one.
func isHTTP(line []byte) bool {
	return bytes.HasSuffix(line, []byte(" HTTP/1.1")) || bytes.HasSuffix(line, []byte(" HTTP/1.0"))
}

const example = `write something like ('event', 'tick', {'a': 1})`

// parseLine reads a message. It takes time and memory in proportion to the
// length of the line, and evaluates nothing.
func parseLine(line []byte) (kozo.Message, error) {
	if at := invalid(line); at >= 0 {
		return kozo.Message{}, errAt(column(line, at), "the line is not plain text in UTF-8")
	}
	text := bytes.TrimLeft(line, " \t")
	if len(text) == 0 {
		return kozo.Message{}, errAt(0, "the line is empty; %s", example)
	}
	clean, err := scan(line)
	if err != nil {
		return kozo.Message{}, err
	}
	var parts []any
	if text[0] == '[' {
		parts, err = parseJSON(text, len(line)-len(text))
	} else {
		parts, err = parsePython(clean)
	}
	if err != nil {
		return kozo.Message{}, err
	}
	return newMessage(parts)
}

// invalid returns where a line has something that no text has, or -1.
func invalid(line []byte) int {
	for i := 0; i < len(line); {
		r, size := utf8.DecodeRune(line[i:])
		if r < ' ' && r != '\t' || r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// column returns the number of the character that begins at a byte of the line.
func column(line []byte, at int) int { return utf8.RuneCount(line[:min(at, len(line))]) + 1 }

// parseJSON reads an array that begins after skipped bytes of the line, which
// scan has accepted.
func parseJSON(text []byte, skipped int) ([]any, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var parts []any
	err := dec.Decode(&parts)
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, errAt(skipped+column(text, int(syntax.Offset)-1), "this is not JSON, which a line that begins with [ should be: %v", err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errAt(skipped+column(text, len(text)), "the JSON array has no end")
	case err != nil:
		return nil, errAt(0, "this is not a JSON array: %v", err)
	}
	end := int(dec.InputOffset())
	if _, err := dec.Token(); err != io.EOF {
		return nil, errAt(skipped+column(text, end), "there is something after the JSON array")
	}
	return parts, nil
}

// newMessage makes a message of the parts of a line.
func newMessage(parts []any) (kozo.Message, error) {
	fail := func(format string, args ...any) (kozo.Message, error) {
		return kozo.Message{}, errAt(0, format, args...)
	}
	if len(parts) == 0 {
		return fail("there is nothing in it; %s", example)
	}
	word, ok := parts[0].(string)
	var kind kozo.Kind
	if !ok || kind.UnmarshalText([]byte(word)) != nil || !kind.Valid() {
		return fail("a message begins with 'event', 'order' or 'log', not with %s", show(parts[0]))
	}
	if kind == kozo.Log {
		return newLog(parts, fail)
	}
	if len(parts) < 2 || len(parts) > 4 {
		return fail("%s takes a type, a channel and data, not %d values after the kind; %s", anArticle(kind), len(parts)-1, example)
	}
	typ, ok := parts[1].(string)
	if !ok {
		return fail("the type, second in the line, is text in quotes, not %s", show(parts[1]))
	}
	var channel, data any
	switch {
	case len(parts) == 4:
		channel, data = parts[2], parts[3]
	case len(parts) == 3 && kind == kozo.Event:
		data = parts[2]
	case len(parts) == 3:
		return fail("an order with three values could mean a channel or data; write ('order', 'TYPE', 'CHANNEL', None) or ('order', 'TYPE', None, DATA)")
	}
	to, ok := channel.(string)
	if !ok && channel != nil {
		return fail("the channel, third in the line, is text in quotes or None, not %s", show(channel))
	}
	return pack(kozo.Message{Kind: kind, Type: typ, Channel: to}, data)
}

func newLog(parts []any, fail func(string, ...any) (kozo.Message, error)) (kozo.Message, error) {
	switch len(parts) {
	case 2:
		return pack(kozo.Message{Kind: kozo.Log, Type: kozo.Info}, parts[1])
	case 3:
		level, ok := parts[1].(string)
		if !ok {
			return fail("the level, second in the line, is text in quotes, not %s", show(parts[1]))
		}
		return pack(kozo.Message{Kind: kozo.Log, Type: level}, parts[2])
	}
	return fail("a log message is ('log', 'TEXT') or ('log', 'LEVEL', 'TEXT'), not one with %d values after the kind", len(parts)-1)
}

// pack completes a message, which can then be sent.
func pack(m kozo.Message, data any) (kozo.Message, error) {
	body, err := kozo.Pack(data)
	if err != nil {
		return kozo.Message{}, err
	}
	m.Body = body
	return m, m.Check()
}

func anArticle(kind kozo.Kind) string {
	if kind == kozo.Event {
		return "an event"
	}
	return "an order"
}

// show prints a value for an error, cut if it is long.
func show(v any) string {
	var text []rune
	switch v := v.(type) {
	case nil:
		return "None"
	case string:
		text = []rune(strconv.Quote(v))
	default:
		text = []rune(fmt.Sprint(v))
	}
	if len(text) > 60 {
		text = append(text[:60], '…')
	}
	return string(text)
}
