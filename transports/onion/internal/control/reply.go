package control

import (
	"bufio"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Bounds of an answer.
const (
	maxLine  = 64 << 10 // bytes
	maxLines = 4096
	maxReply = 2 << 20 // bytes
)

const eventCode = 650

// reply is an answer: a code, and lines without it, those of texts among them.
type reply struct {
	code  int
	lines []string
	size  int
}

func (r *reply) add(line string) error {
	r.lines, r.size = append(r.lines, line), r.size+len(line)
	if len(r.lines) > maxLines || r.size > maxReply {
		return fmt.Errorf("an answer of tor has more than %d lines or %d bytes", maxLines, maxReply)
	}
	return nil
}

// readReply reads one answer. Its lines begin with the code and with "-" if more
// follow, "+" if text follows up to a line with a dot, or a space at the end.
func readReply(in *bufio.Reader) (reply, error) {
	var r reply
	for {
		line, err := readLine(in)
		if err != nil {
			return r, err
		}
		if len(line) < 4 {
			return r, fmt.Errorf("this is not tor's control protocol: %q", line)
		}
		code, err := strconv.ParseUint(line[:3], 10, 16)
		if err != nil || code < 100 || r.code != 0 && int(code) != r.code {
			return r, fmt.Errorf("this is not tor's control protocol: %.60q", line)
		}
		r.code = int(code)
		if err := r.add(line[4:]); err != nil {
			return r, err
		}
		switch line[3] {
		case ' ':
			return r, nil
		case '-':
		case '+':
			if err := r.readText(in); err != nil {
				return r, err
			}
		default:
			return r, fmt.Errorf("this is not tor's control protocol: %.60q", line)
		}
	}
}

// readText reads lines up to one with a dot.
func (r *reply) readText(in *bufio.Reader) error {
	for {
		line, err := readLine(in)
		if err != nil || line == "." {
			return err
		}
		if err := r.add(strings.TrimPrefix(line, ".")); err != nil { // one that begins with a dot has another one before it
			return err
		}
	}
}

func readLine(in *bufio.Reader) (string, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return "", fmt.Errorf("a line of tor has more than %d bytes", maxLine)
		}
		if err == nil {
			return strings.TrimRight(string(line), "\r\n"), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return "", err
		}
	}
}

// fields reads words and values: KEY=VALUE KEY="VALUE WITH SPACES" WORD. A word
// without a value is left out.
func fields(s string) map[string]string {
	f := map[string]string{}
	for s = strings.TrimLeft(s, " "); s != ""; s = strings.TrimLeft(s, " ") {
		end := strings.IndexAny(s, " =")
		if end < 0 {
			break
		}
		key := s[:end]
		if s[end] == ' ' {
			s = s[end:]
			continue
		}
		var value string
		value, s = value1(s[end+1:])
		f[key] = value
	}
	return f
}

// value1 takes one value from the beginning of a text.
func value1(s string) (value, rest string) {
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, " ")
		return value, rest
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:]
		case c != '\\' || i+1 == len(s):
			b.WriteByte(c)
		default:
			i++
			n := 1
			for n < 3 && i+n < len(s) && octal(s[i:i+n+1]) {
				n++
			}
			if code, err := strconv.ParseUint(s[i:i+n], 8, 8); err == nil && octal(s[i:i+n]) {
				b.WriteByte(byte(code))
				i += n - 1
				continue
			}
			b.WriteByte(unescape(s[i]))
		}
	}
	return b.String(), ""
}

func octal(s string) bool { return s != "" && strings.Trim(s, "01234567") == "" }

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'r':
		return '\r'
	}
	return c
}

// quote writes a text as Tor reads it.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`).Replace(s) + `"`
}
