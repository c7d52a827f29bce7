package kozo_test

import (
	"testing"

	"kozo"
)

func TestPrintable(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{`plain "text" with \ and 構造 é 😀`, `plain "text" with \ and 構造 é 😀`},
		{"a\nb\r\t\x00\x1b[31m\x7f", `a\nb\r\t\x00\x1b[31m\x7f`},
		{"a\u0085\u2028\u202eb", `a\u0085\u2028\u202eb`},
		{"a\xff\xc3b", `a\xff\xc3b`},
		{"a\uFFFDb", "a\uFFFDb"},
	} {
		if got := kozo.Printable(test.text); got != test.want {
			t.Errorf("%q: got %s, want %s", test.text, got, test.want)
		}
	}
}
