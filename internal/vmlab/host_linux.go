package vmlab

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"kozo/internal/vmlab/machine"
)

// run is Run on the host.
func run(t *testing.T, lab Lab) {
	t.Helper()
	if err := machine.Prepare(); errors.Is(err, machine.ErrUnavailable) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	e := machine.Errand{
		Controllers: lab.Controllers, Names: lab.Machines, Files: buildAll(t, lab),
		Command: fmt.Sprintf("./tests -test.v -test.run '%s' -test.timeout ${LIMIT}s 2>&1", pattern(t.Name(), len(lab.Machines) > 0)),
		Paced:   true, Limit: cmp.Or(lab.Timeout, defaultTimeout), Dir: t.TempDir(),
	}
	ctx := t.Context()
	if end, ok := t.Deadline(); ok { // with a moment to say what happened
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-5*time.Second))
		defer cancel()
	}
	outcomes, err := e.Run(ctx)
	if errors.Is(err, machine.ErrUnavailable) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	for _, o := range outcomes {
		if len(lab.Machines) == 0 {
			report(t, &o)
			continue
		}
		t.Run(o.Name, func(t *testing.T) { report(t, &o) })
	}
}

const defaultTimeout = 4 * time.Minute

// buildAll builds the tests and the programs, and says which files the machine
// has: path on the host by path inside.
func buildAll(t *testing.T, lab Lab) map[string]string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"test/tests": build(t, dir, "tests", "test", "-c", ".")}
	for name, pkg := range lab.Programs {
		files["usr/bin/"+name] = build(t, dir, name, "build", pkg)
	}
	for name, file := range lab.Files {
		files["test/"+name] = file
	}
	return files
}

// pattern is what the tests inside run: this test, and what -run says of its
// subtests, of which the first is the machine if there are several.
func pattern(name string, several bool) string {
	p := "^" + regexp.QuoteMeta(name) + "$"
	f := flag.Lookup("test.run")
	if f == nil {
		return p
	}
	_, subtests, ok := strings.Cut(f.Value.String(), "/")
	if several {
		_, subtests, ok = strings.Cut(subtests, "/")
	}
	if ok {
		p += "/" + strings.ReplaceAll(subtests, "'", "")
	}
	return p
}

// build runs the go command for the machine, and returns the path of the result.
func build(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	file := filepath.Join(dir, name)
	args = append(args[:len(args)-1:len(args)-1], "-o", file, args[len(args)-1])
	c := exec.Command("go", args...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return file
}
