package cli

import (
	"bytes"
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
		"event tick":                        describe(&kozo.Message{Kind: kozo.Event, Type: "tick"}),
		"order debug to desk":               describe(&kozo.Message{Kind: kozo.Order, Type: "debug", Channel: "desk"}),
		"int from 1 to 9, empty by default": facts(kozo.Option{Type: kozo.TypeInt, Min: "1", Max: "9"}),
		"any, optional":                     facts(kozo.Option{Type: kozo.TypeAny}),
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
		`3}`:                   `"3}"`,
		`"a"]`:                 `"\"a\"]"`,
		``:                     `""`,
	} {
		content, note := data([]string{in})
		if (note != "") != (in == `{"a": `) {
			t.Errorf("%q: it is noted%s", in, note)
		}
		m, err := kozo.NewEvent("x", content)
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
	if got, note := data(nil); got != nil || note != "" {
		t.Errorf("no data is %v%s", got, note)
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

func TestTailedMessage(t *testing.T) {
	m, err := kozo.NewOrder("open", "door", "quick\x1b[2J\nly")
	if err != nil {
		t.Fatal(err)
	}
	m.From = kozo.RoleRef{Node: "clock", Role: "bell"}
	var out bytes.Buffer
	a := &app{stdout: &out, getenv: func(string) string { return "" }}
	for _, missed := range []uint64{0, 12, 1} {
		a.show(m, missed)
	}
	lines := strings.Split(out.String(), "\n")
	if want := `order:open:door  bell@clock        quick\u001b[2J\nly`; !strings.HasSuffix(lines[0], want) {
		t.Errorf("shown as %q, want %q at the end", lines[0], want)
	}
	if lines[2] != "(12 messages missed)" || lines[4] != "(1 message missed)" {
		t.Errorf("what was missed is shown as %q and %q", lines[2], lines[4])
	}
	out.Reset()
	a.json = true
	a.show(m, 12)
	if !strings.Contains(out.String(), `"missed":12}`) || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("for programs it is %q", out.String())
	}
	if a.unwritten != nil {
		t.Error(a.unwritten)
	}
}
