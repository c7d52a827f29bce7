package vmlab

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kozo/internal/vmlab/machine"
)

// result is what became of a test inside.
type result struct {
	name     string
	outcome  string // pass, fail, skip; empty: it has not ended
	output   strings.Builder
	elapsed  float64
	children []*result
}

// report makes what happened inside the outcome of t.
func report(t *testing.T, o *machine.Outcome) {
	t.Helper()
	raw, err := os.Open(o.Output())
	if err != nil {
		t.Fatalf("the tests did not start: %v\n%s", o.Err, tail(o.Console))
	}
	defer raw.Close()
	convert := exec.Command("go", "tool", "test2json", "-t")
	convert.Stdin = raw
	events, err := convert.Output()
	if err != nil {
		t.Fatalf("go tool test2json: %v", err)
	}
	name, _, _ := strings.Cut(t.Name(), "/")
	root, rest, err := collect(events, name)
	if err != nil {
		t.Fatal(err)
	}
	root.replay(t)
	if o.Err != nil || root.outcome == "" {
		t.Errorf("the machine: %v\n%s\n%s", o.Err, tail(rest), tail(o.Console))
	}
	if t.Failed() {
		for _, log := range o.Logs() {
			text, _ := os.ReadFile(log)
			t.Logf("%s:\n%s", filepath.Base(log), tail(string(text)))
		}
	}
}

// collect reads the events of a run. What belongs to no test is rest.
func collect(events []byte, name string) (root *result, rest string, err error) {
	root = &result{name: name}
	all := map[string]*result{name: root}
	for line := range strings.Lines(string(events)) {
		var e struct {
			Action, Test, Output string
			Elapsed              float64
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return nil, "", fmt.Errorf("an event of the tests inside: %w", err)
		}
		r := all[e.Test]
		if r == nil {
			at := strings.LastIndexByte(e.Test, '/')
			if at < 0 || all[e.Test[:at]] == nil {
				rest += e.Output
				continue
			}
			r = &result{name: e.Test[at+1:]}
			all[e.Test] = r
			all[e.Test[:at]].children = append(all[e.Test[:at]].children, r)
		}
		switch e.Action {
		case "output":
			if text := strings.TrimLeft(e.Output, " "); !strings.HasPrefix(text, "=== ") && !strings.HasPrefix(text, "--- ") {
				r.output.WriteString(e.Output)
			}
		case "pass", "fail", "skip":
			r.outcome, r.elapsed = e.Action, e.Elapsed
		}
	}
	return root, rest, nil
}

func (r *result) replay(t *testing.T) {
	t.Helper()
	if text := strings.TrimRight(r.output.String(), "\n"); text != "" {
		t.Log("inside:\n" + text)
	}
	for _, c := range r.children {
		t.Run(c.name, c.replay)
	}
	switch r.outcome {
	case "pass":
		t.Logf("took %.1f s inside", r.elapsed)
	case "skip":
		t.Skip("skipped inside")
	case "fail":
		t.Errorf("failed inside, after %.1f s", r.elapsed)
	default:
		t.Error("did not end")
	}
}

// tail returns the last lines of a log.
func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-40):], "\n")
}
