package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestLog(t *testing.T) {
	none := func(string) string { return "" }
	logged := func(getenv func(string) string, opts runOptions) string {
		var b bytes.Buffer
		a := &app{stderr: &b, getenv: getenv}
		log, _ := a.newLog(opts, &b)
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
