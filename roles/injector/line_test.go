package injector

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"kozo"
)

func TestLines(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		// Python
		{`('event', 'tick', {'a': 1})`, `{"kind":"event","type":"tick","data":{"a":1}}`},
		{`('event', 'tick')`, `{"kind":"event","type":"tick"}`},
		{`('event', 'tick', 'porch', [1, 2.5, -3])`, `{"kind":"event","type":"tick","channel":"porch","data":[1,2.5,-3]}`},
		{`('event', 'tick', None, [1])`, `{"kind":"event","type":"tick","data":[1]}`},
		{`('order', 'debug', 'channel', None)`, `{"kind":"order","type":"debug","channel":"channel"}`},
		{`('order', 'debug')`, `{"kind":"order","type":"debug"}`},
		{`('log', 'text')`, `{"kind":"log","type":"info","data":"text"}`},
		{`('log', 'warn', 'text')`, `{"kind":"log","type":"warn","data":"text"}`},
		{`  ("log", "double", "it's")  `, `{"kind":"log","type":"double","data":"it's"}`},
		{`'log', 'no parentheses'`, `{"kind":"log","type":"info","data":"no parentheses"}`},
		{`((('log', ('x'),)))`, `{"kind":"log","type":"info","data":"x"}`},
		{`(u'log', U"x")`, `{"kind":"log","type":"info","data":"x"}`},
		{`u'log', ur'\d'`, `{"kind":"log","type":"info","data":"\\d"}`},
		{`('log', r'\d')`, `{"kind":"log","type":"info","data":"\\d"}`},
		{`('log', R'\d')`, `{"kind":"log","type":"info","data":"\\d"}`},
		{`('event', 'x', b'\xff')`, `{"kind":"event","type":"x","data":"/w=="}`},
		{`('event', 'x', Br'\d')`, `{"kind":"event","type":"x","data":"XGQ="}`},
		{`('event', 'x', [True, False, None, ()],)`, `{"kind":"event","type":"x","data":[true,false,null,[]]}`},
		{`('event', 'x', {})`, `{"kind":"event","type":"x","data":{}}`},
		{`('event', 'x', {'a': (1, 2,), 'b': {'c': 'd'},})`, `{"kind":"event","type":"x","data":{"a":[1,2],"b":{"c":"d"}}}`},
		{`('event', 'x', 0x1f)`, `{"kind":"event","type":"x","data":31}`},
		{`('event', 'x', [+1, -1.5, 1e3])`, `{"kind":"event","type":"x","data":[1,-1.5,1000]}`},
		{`('event', 'x', [18446744073709551615, -9223372036854775808])`, `{"kind":"event","type":"x","data":[18446744073709551615,-9223372036854775808]}`},
		{`('log', 'a\n\x41\u00e9\U0001F600\'"')`, `{"kind":"log","type":"info","data":"a\nAé😀'\""}`},
		{`('log', '''three ' quotes''')`, `{"kind":"log","type":"info","data":"three ' quotes"}`},
		{`('log', '(((((((# \\')`, `{"kind":"log","type":"info","data":"(((((((# \\"}`},
		{`('log', '構造')`, `{"kind":"log","type":"info","data":"構造"}`},
		{"\t('log',\t'tabs')", `{"kind":"log","type":"info","data":"tabs"}`},
		{`('log', {'not': 'text'})`, `{"kind":"log","type":"info","data":{"not":"text"}}`},
		// JSON
		{`["event", "tick", {"a": 1, "b": [null, true, 1.5]}]`, `{"kind":"event","type":"tick","data":{"a":1,"b":[null,true,1.5]}}`},
		{`["order", "debug", null, 9007199254740993]`, `{"kind":"order","type":"debug","data":9007199254740993}`},
		{`  ["log", "x\ud800"]`, `{"kind":"log","type":"info","data":"x` + "\uFFFD" + `"}`},
		// wrong
		{``, `the line is empty; write something like ('event', 'tick', {'a': 1})`},
		{`   `, `the line is empty; write something like ('event', 'tick', {'a': 1})`},
		{`()`, `there is nothing in it; write something like ('event', 'tick', {'a': 1})`},
		{`[]`, `there is nothing in it; write something like ('event', 'tick', {'a': 1})`},
		{`hello`, `column 1: "hello" is not a value; put text in quotes`},
		{`(event, 'tick')`, `column 2: "event" is not a value; put text in quotes`},
		{`'event'`, `column 1: a message needs more than this; write something like ('event', 'tick', {'a': 1})`},
		{`{'kind': 'event'}`, `column 1: a message is a tuple; write something like ('event', 'tick', {'a': 1})`},
		{`('event', 'tick', {'a': 1}`, `column 27: the line ends, expected ')'`},
		{`('event', 'tick', `, `column 19: the line ends, expected ')'`},
		{`('event', 'tick', {'a': `, `column 25: the line ends where a value should be`},
		{`('event', 'tick`, `column 11: the text has no closing quote`},
		{`('event', 'tick'))`, `column 18: unexpected ')'`},
		{`('event', 'tick') 'x'`, `column 22: got string literal after the message`},
		{`('構造', tick)`, `column 8: "tick" is not a value; put text in quotes`},
		{`('構造', 'tick')`, `a message begins with 'event', 'order' or 'log', not with "構造"`},
		{`('', 'tick')`, `a message begins with 'event', 'order' or 'log', not with ""`},
		{`(1, 'tick')`, `a message begins with 'event', 'order' or 'log', not with 1`},
		{`('event',)`, `an event takes a type, a channel and data, not 0 values after the kind; write something like ('event', 'tick', {'a': 1})`},
		{`('event', 'a', 'b', 'c', 'd')`, `an event takes a type, a channel and data, not 4 values after the kind; write something like ('event', 'tick', {'a': 1})`},
		{`('event', 1)`, `the type, second in the line, is text in quotes, not 1`},
		{`('event', None, 1)`, `the type, second in the line, is text in quotes, not None`},
		{`('event', '')`, kozo.ErrType.Error()},
		{`('event', 'x', 1, 2)`, `the channel, third in the line, is text in quotes or None, not 1`},
		{`('order', 'debug', 'x')`, `an order with three values could mean a channel or data; write ('order', 'TYPE', 'CHANNEL', None) or ('order', 'TYPE', None, DATA)`},
		{`('log',)`, `a log message is ('log', 'TEXT') or ('log', 'LEVEL', 'TEXT'), not one with 0 values after the kind`},
		{`('log', 1, 'x')`, `the level, second in the line, is text in quotes, not 1`},
		{`('event', '` + strings.Repeat("x", 256) + `')`, kozo.ErrField.Error()},
		{`('event', 'x', true)`, `column 16: true is written True in a tuple`},
		{`('event', 'x', null)`, `column 16: null is written None in a tuple`},
		{`('event', 'x', {1: 2})`, `column 17: the keys of a dictionary are text in quotes, not 1`},
		{`('event', 'x', {None: 2})`, `column 17: the keys of a dictionary are text in quotes, not None`},
		{`('event', 'x', 1 + 1)`, `column 16: only plain values can be sent, nothing that would have to be worked out`},
		{`('event', 'x', 'a' * 1000000000)`, `column 16: only plain values can be sent, nothing that would have to be worked out`},
		{`('event', 'x', - - 1)`, `column 16: only plain values can be sent, nothing that would have to be worked out`},
		{`('event', 'x', not 1)`, `column 16: only plain values can be sent, nothing that would have to be worked out`},
		{`('event', 'x', [x for x in [1]])`, `column 16: only plain values can be sent, nothing that would have to be worked out`},
		{`('event', 'x', {x: 1 for x in 'a'})`, `column 16: only plain values can be sent, nothing that would have to be worked out`},
		{`('event', 'x', lambda: 1)`, `column 16: only plain values can be sent, nothing that would have to be worked out`},
		{`__import__('os').system('true')`, `column 1: only plain values can be sent, nothing that would have to be worked out`},
		{`('event', 'x', open('/etc/passwd'))`, `column 16: only plain values can be sent, nothing that would have to be worked out`},
		{`('event', 'x', 99999999999999999999)`, `column 16: the number does not fit into 64 bits; put it in quotes to send it as text`},
		{`('event', 'x', 1e999)`, `column 21: invalid float literal`},
		{`('log', '\xe9')`, `column 9: non-ASCII hex escape \xe9 (use \u00E9 for the UTF-8 encoding of U+00E9)`},
		{`('log', '\ud800')`, `column 9: invalid Unicode code point U+D800`},
		{`('log', 'x') # comment`, `column 14: '#' means nothing outside of quotes`},
		{"('log', 'a\x00b')", `column 11: the line is not plain text in UTF-8`},
		{"('log', 'a\rb')", `column 11: the line is not plain text in UTF-8`},
		{"('log', 'é\xff')", `column 11: the line is not plain text in UTF-8`},
		{`["event", "tick"`, `column 17: the JSON array has no end`},
		{`["event", 'tick']`, `column 11: this is not JSON, which a line that begins with [ should be: invalid character '\'' looking for beginning of value`},
		{`["event", "tick"] 1`, `column 18: there is something after the JSON array`},
		{`["event", "tick", 1e999]`, `the number 1e999 is out of range`},
		{`["order", "debug", "x"]`, `an order with three values could mean a channel or data; write ('order', 'TYPE', 'CHANNEL', None) or ('order', 'TYPE', None, DATA)`},
	} {
		m, err := parseLine([]byte(test.line))
		var got string
		if err != nil {
			got = err.Error()
		} else {
			text, err := json.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			got = string(text)
		}
		if got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.line, got, test.want)
		}
	}
}

// TestBounds gives the parser lines that are made to hurt. What would overflow
// the stack cannot be caught, so that this test would not just fail.
func TestBounds(t *testing.T) {
	fill := func(head, part, tail string) string {
		return head + strings.Repeat(part, (MaxLine-len(head)-len(tail))/len(part)) + tail
	}
	for name, line := range map[string]string{
		"parentheses":  fill("", "(", ""),
		"lists":        fill("('event', 'x', ", "[", ""),
		"JSON arrays":  fill("", "[", ""),
		"JSON objects": fill(`["event", "x", `, `{"a":`, ""),
		"dictionaries": fill("", "{'a':", ""),
		"minus":        fill("('event', 'x', ", "-", "1)"),
		"not":          fill("('event', 'x', ", "not ", "1)"),
		"sums":         fill("('event', 'x', 1", "+1", ")"),
		"or":           fill("('event', 'x', 1", " or 1", ")"),
		"if":           fill("('event', 'x', 1", " if 1 else 1", ")"),
		"lambda":       fill("", "lambda:", "1"),
		"attributes":   fill("x", ".x", ""),
		"calls":        fill("x", "()", ""),
		"values":       fill("('event', 'x', [", "1,", "])"),
		"JSON values":  fill(`["event", "x", [`, "1,", "1]]"),
		"a number":     fill("('event', 'x', ", "9", ")"),
		"a backslash":  fill("('log', '", `\`, ""),
		"quotes":       fill("", "'", ""),
		"prefixes":     fill("", "u''", ""),
	} {
		if m, err := parseLine([]byte(line)); err == nil {
			t.Errorf("%s: a message of %d bytes, expected an error", name, len(m.Body))
		}
	}
	deep := strings.Repeat("[", kozo.MaxDepth) + "1" + strings.Repeat("]", kozo.MaxDepth)
	for _, line := range []string{"('event', 'x', " + deep + ")", `["event", "x", ` + deep + "]"} {
		if _, err := parseLine([]byte(line)); err != nil {
			t.Errorf("data nested as deep as a message can have it: %v", err)
		}
		if _, err := parseLine([]byte(strings.Replace(line, deep, "["+deep+"]", 1))); !errors.Is(err, kozo.ErrDepth) {
			t.Errorf("data nested too deep: error %v", err)
		}
	}
	if _, err := parseLine([]byte(fill("('log', '", "x", "')"))); err != nil {
		t.Errorf("one long text: %v", err)
	}
}

func TestReadLine(t *testing.T) {
	long := strings.Repeat("x", MaxLine)
	for _, test := range []struct {
		stream string
		want   []string
	}{
		{"a\nb\r\n\nlast", []string{"a", "b", "", "last"}},
		{"", nil},
		{"\n", []string{""}},
		{"a\r", []string{"a"}},
		{long + "\n" + long + "\r\nb\n", []string{long, long, "b"}},
		{long + "x\nb\n", []string{"too long", "b"}},
		{strings.Repeat(long, 3) + "\nb\n", []string{"too long", "b"}},
		{long + "x", []string{"too long"}},
	} {
		var got []string
		for r := bufio.NewReader(strings.NewReader(test.stream)); ; {
			line, err := readLine(r)
			if err == io.EOF {
				break
			}
			if _, ok := errors.AsType[*lineError](err); ok {
				line = []byte("too long")
			} else if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(line))
		}
		if strings.Join(got, "|") != strings.Join(test.want, "|") {
			t.Errorf("%.20q…: got %.60q, want %.60q", test.stream, got, test.want)
		}
	}
}

// FuzzLine checks that no line makes the parser fail in another way than with
// an error that fits on a line, and that a message it makes can be sent.
func FuzzLine(f *testing.F) {
	f.Fuzz(func(t *testing.T, line []byte) {
		before := bytes.Clone(line)
		m, err := parseLine(line)
		if !bytes.Equal(line, before) {
			t.Error("the line was changed")
		}
		if err != nil {
			if e, ok := errors.AsType[*lineError](err); ok && e.column > utf8.RuneCount(line)+1 {
				t.Errorf("column %d of a line with %d characters: %v", e.column, utf8.RuneCount(line), err)
			}
			if strings.Contains(err.Error(), "internal error") {
				t.Errorf("the parser has panicked: %v", err)
			}
			return
		}
		if err := errors.Join(m.Check(), m.Body.Check()); err != nil {
			t.Errorf("the message cannot be sent: %v", err)
		}
		if !utf8.ValidString(m.Type) || !utf8.ValidString(m.Channel) {
			t.Errorf("type %q and channel %q are not UTF-8", m.Type, m.Channel)
		}
		v, err := m.Body.Value()
		if err != nil {
			t.Fatal(err)
		}
		checkText(t, v)
	})
}

func checkText(t *testing.T, v any) {
	switch v := v.(type) {
	case string:
		if !utf8.ValidString(v) {
			t.Errorf("%q is not UTF-8", v)
		}
	case []any:
		for _, e := range v {
			checkText(t, e)
		}
	case map[string]any:
		for k, e := range v {
			checkText(t, k)
			checkText(t, e)
		}
	}
}
