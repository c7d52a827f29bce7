package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"kozo"
)

func TestNearest(t *testing.T) {
	commands := []string{"status", "send", "tail", "run", "testnet"}
	for word, want := range map[string]string{
		"stauts":  "status",
		"statsu":  "status",
		"Status":  "status",
		"rnu":     "run",
		"tial":    "tail",
		"test":    "",
		"testnt":  "testnet",
		"banana":  "",
		"x":       "",
		"":        "",
		"sendd":   "send",
		"testnet": "testnet",
	} {
		if got := nearest(word, commands); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	if got := nearest(strings.Repeat("a", 100_000), []string{strings.Repeat("b", 100_000)}); got != "" {
		t.Errorf("very long words are near: %d bytes", len(got))
	}
}

func TestWords(t *testing.T) {
	for want, got := range map[string]string{
		"":                                  list([]string{}),
		"a":                                 list([]string{"a"}),
		"a and b":                           list([]string{"a", "b"}),
		"a, b and c":                        list([]kozo.NodeName{"a", "b", "c"}),
		"1 node":                            count(1, "node"),
		"0 nodes":                           count(0, "node"),
		"99999":                             number(99_999),
		"100k":                              number(100_000),
		"1.5M":                              number(1_500_000),
		"12 B":                              sizeOf(12),
		"123 kB":                            sizeOf(123_456),
		"tcp sc…l:9001":                     shorten("tcp scribe.local:9001", 13),
		"short":                             shorten("short", 13),
		"event tick":                        describe(&kozo.Message{Kind: kozo.Event, Type: "tick"}),
		"order debug to desk":               describe(&kozo.Message{Kind: kozo.Order, Type: "debug", Channel: "desk"}),
		"2 queue full, 10 cut":              causes(map[string]uint64{"cut": 10, "queue full": 2, "expired": 0}),
		"int from 1 to 9, empty by default": facts(kozo.Option{Type: kozo.TypeInt, Min: "1", Max: "9"}),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// What is printed for pasting means the same to a shell.
func TestQuote(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh")
	}
	for _, word := range []string{
		"", "plain", "two words", "it's", `back\slash`, "$HOME", "*", "a;b", "構造", "-x", "~", "#", "new\nline", "!", "{a,b}", "a=b",
	} {
		out, err := exec.Command(sh, "-c", "printf %s "+quote(word)).Output()
		if word == "-x" {
			continue // printf takes it for an option, whatever the quotes
		}
		if err != nil || string(out) != word {
			t.Errorf("%q was quoted as %s, which is %q, %v", word, quote(word), out, err)
		}
	}
}

func TestData(t *testing.T) {
	for in, want := range map[string]string{
		`{"a": [1, 2.5]}`:      `{"a":[1,2.5]}`,
		`18446744073709551615`: `18446744073709551615`,
		`"5"`:                  `"5"`,
		`5`:                    `5`,
		`null`:                 ``,
		`hello there`:          `"hello there"`,
		`5 apples`:             `"5 apples"`,
		`{"a": `:               `"{\"a\": "`,
		`true false`:           `"true false"`,
		``:                     `""`,
	} {
		m, err := kozo.NewEvent("x", data([]string{in}))
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		got := ""
		if len(m.Body) > 0 {
			text, err := m.Body.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			got = string(text)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
	if got := data(nil); got != nil {
		t.Errorf("no data is %v", got)
	}
}

func TestFailures(t *testing.T) {
	var b bytes.Buffer
	misused("%w", os.ErrNotExist).hint("look %s", "elsewhere").hint("or not").print(&b)
	if want := "kozo: file does not exist\nhint: look elsewhere\nhint: or not\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
	if !errors.Is(misconfigured("a: %w", os.ErrNotExist), os.ErrNotExist) {
		t.Error("the cause is lost")
	}
}

func TestLog(t *testing.T) {
	none := func(string) string { return "" }
	logged := func(getenv func(string) string, opts runOptions) string {
		var b bytes.Buffer
		a := &app{stderr: &b, getenv: getenv}
		log := a.newLog(opts)
		log.Debug("every attempt")
		log.With("peer", "scribe").Info("link up", "transport", "tcp")
		log.WithGroup("g").Warn("two\nlines", "reason", "not\x1b[2Jthere")
		log.Error("it broke", "err", errors.New("disk full"))
		return b.String()
	}
	lines := strings.Split(strings.TrimSpace(logged(none, runOptions{})), "\n")
	want := []string{
		`link up  peer=scribe transport=tcp`,
		`warning: two\nlines  g.reason="not\x1b[2Jthere"`,
		`error: it broke  err="disk full"`,
	}
	if len(lines) != len(want) {
		t.Fatalf("logged %q", lines)
	}
	for i, line := range lines {
		if len(line) < 9 || line[2] != ':' || line[5] != ':' || line[9:] != want[i] {
			t.Errorf("logged %q, want the time and %q", line, want[i])
		}
	}
	if text := logged(none, runOptions{verbose: true}); !strings.Contains(text, "every attempt") {
		t.Errorf("with --verbose %q is logged", text)
	}
	journal := func(name string) string { return map[string]string{"JOURNAL_STREAM": "8:1"}[name] }
	if text := logged(journal, runOptions{verbose: true}); !strings.HasPrefix(text, "<7>every attempt\n<6>link up  peer=scribe transport=tcp\n<4>two") || !strings.Contains(text, "<3>it broke") {
		t.Errorf("the journal gets %q", text)
	}
	for line := range strings.Lines(logged(none, runOptions{logJSON: true})) {
		if !json.Valid([]byte(line)) {
			t.Errorf("--log-json logs %q", line)
		}
	}
}
