package term

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

func TestSpan(t *testing.T) {
	for _, c := range []struct {
		d    time.Duration
		want string
	}{
		{0, "0.0 ms"},
		{340 * time.Microsecond, "0.3 ms"},
		{1290 * time.Microsecond, "1.3 ms"},
		{9960 * time.Microsecond, "10 ms"},
		{12 * time.Millisecond, "12 ms"},
		{-12 * time.Millisecond, "-12 ms"},
		{time.Second, "1 s"},
		{3290 * time.Millisecond, "3.2 s"},
		{9990 * time.Millisecond, "9.9 s"},
		{59 * time.Second, "59 s"},
		{60 * time.Second, "1 min"},
		{75 * time.Second, "1 min 15 s"},
		{25 * time.Minute, "25 min"},
		{130 * time.Minute, "2 h 10 min"},
		{5 * time.Hour, "5 h"},
		{25 * time.Hour, "1 day 1 h"},
		{80 * time.Hour, "3 days"},
	} {
		if got := Span(c.d); got != c.want {
			t.Errorf("%v: %q, want %q", c.d, got, c.want)
		}
	}
}

func TestTable(t *testing.T) {
	s := Style{Colour: true}
	table := Table{Indent: "  "}
	table.Row("peer", "state", "")
	table.Row("構造", s.Good("up"), "tcp")
	table.Row("a", s.Bad("waiting"), "")
	table.Row("a long row of one cell only")
	var b bytes.Buffer
	if _, err := table.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	want := "  peer  state\n  構造  \x1b[32mup\x1b[0m       tcp\n  a     \x1b[31mwaiting\x1b[0m\n  a long row of one cell only\n"
	if b.String() != want {
		t.Errorf("got\n%q\nwant\n%q", b.String(), want)
	}
}

func TestNumbersInATable(t *testing.T) {
	table := Table{Right: []int{1, 2}}
	table.Row("role", "sent", "lost")
	table.Row("timer1", "12345", "0")
	var b bytes.Buffer
	if _, err := table.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	if want := "role     sent  lost\ntimer1  12345     0\n"; b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestColours(t *testing.T) {
	if got := (Style{}).Bad("x"); got != "x" {
		t.Errorf("without colours: %q", got)
	}
	none := func(string) string { return "" }
	if StyleFor(&bytes.Buffer{}, none).Colour {
		t.Error("a buffer gets colours")
	}
	terminal, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a character device, as terminals are
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	if os.PathSeparator == '/' && !StyleFor(terminal, none).Colour {
		t.Error("a terminal gets no colours")
	}
	noColour := func(name string) string { return map[string]string{"NO_COLOR": "1"}[name] }
	if StyleFor(terminal, noColour).Colour {
		t.Error("NO_COLOR is not honoured")
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain 構造":      "plain 構造",
		"\x1b[2Jgone":   `\u001b[2Jgone`,
		"two\nlines\t":  `two\nlines\t`,
		"bad \xff byte": `bad \xff byte`,
		"bidi \u202e":   `bidi \u202e`,
		"real \ufffd":   "real \ufffd",
	} {
		if got := Clean(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestWrap(t *testing.T) {
	if got := Wrap(" \n", 10); len(got) != 1 || got[0] != "" {
		t.Errorf("blanks are wrapped to %q", got)
	}
	got := strings.Join(Wrap("one two three anextremelylongword four", 10), "|")
	if want := "one two|three|anextremelylongword|four"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWords(t *testing.T) {
	type name string
	for want, got := range map[string]string{
		"":           List([]string{}),
		"a":          List([]string{"a"}),
		"a and b":    List([]string{"a", "b"}),
		"a, b and c": List([]name{"a", "b", "c"}),
		"1 node":     Count(1, "node"),
		"0 nodes":    Count(0, "node"),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := List(make([]string, 20)); !strings.HasSuffix(got, "and 8 more") {
		t.Errorf("a long list ends with %q", got)
	}
}

// TestLinesOfADetail has a traceback stand below its record, where nothing in it
// passes for another record. The journal gets one line.
func TestLinesOfADetail(t *testing.T) {
	for journal, want := range map[bool]string{
		false: "error: the program notes  role=bell\n    Traceback:\n      File \"a\\u001b\"\n    error: oh\n",
		true:  "<3>the program notes  role=bell text=\"Traceback:\\n  File \\\"a\\x1b\\\"\\nerror: oh\"\n",
	} {
		var b bytes.Buffer
		h := NewLog(&b, Style{}, slog.LevelInfo, journal).WithAttrs([]slog.Attr{slog.String("role", "bell")})
		r := slog.NewRecord(time.Time{}, slog.LevelError, "the program notes", 0)
		r.AddAttrs(slog.String("text", "Traceback:\n  File \"a\x1b\"\nerror: oh"))
		if err := h.Handle(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if b.String() != want {
			t.Errorf("journal %v: got\n%q\nwant\n%q", journal, b.String(), want)
		}
	}
}
