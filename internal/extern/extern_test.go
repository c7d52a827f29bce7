//go:build unix

package extern_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"kozo"
	"kozo/internal/extern"
	"kozo/kozotest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// put writes a program into a directory.
func put(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	syscall.ForkLock.RLock() // another test may be forking while this is open for writing
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// typeOf makes a type of a script for sh.
func typeOf(t *testing.T, script string) kozo.RoleType {
	t.Helper()
	dir := t.TempDir()
	put(t, dir, "bell.sh", "#!/bin/sh\n"+script+"\n")
	typ, _, err := extern.New(extern.Dirs{}).Role("bell", []string{dir}, nil)
	if err != nil || typ.Name != "bell" {
		t.Fatalf("found type %q, %v", typ.Name, err)
	}
	return typ
}

func run(t *testing.T, script string, options ...kozotest.Options) *kozotest.RoleRun {
	t.Helper()
	return kozotest.RunRole(t, kozotest.Make(t, typeOf(t, script), nil), options...)
}

// undescribed begins a script that does not describe itself, and fails at once
// when it is asked to.
const undescribed = `[ $# = 0 ] || exit 9
`

// wants waits until the program has said hello and wants everything.
func wants(t *testing.T, r *kozotest.RoleRun) {
	t.Helper()
	r.Wait("its hello", func() bool { return len(r.Interest()) > 0 })
}

func event(typ string, data any) kozo.Message {
	m, err := kozo.NewEvent(typ, data)
	if err != nil {
		panic(err)
	}
	return m
}

// failed waits for the end of a role and looks at its error.
func failed(t *testing.T, r *kozotest.RoleRun, want string) {
	t.Helper()
	r.Wait("its end", func() bool {
		select {
		case <-r.Done():
			return true
		default:
			return false
		}
	})
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("it ended with %v; want %q", err, want)
	}
}

// TestFind looks for the files of types.
func TestFind(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	const script = "#!/bin/sh\nexit 1\n"
	one := put(t, a, "one.py", script)
	put(t, a, "one.py~", script)
	put(t, a, ".one.swp", script)
	put(t, a, "one.pyc", script)
	two, other := put(t, a, "two.sh", script), put(t, b, "two", script)
	mode, plain := put(t, b, "mode.sh", script), put(t, b, "plain.py", "print(1)\n")
	lost := put(t, b, "lost", "#!/no/such/interpreter\n")
	for _, path := range []string{mode, plain} {
		if err := os.Chmod(path, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(b, "dir.x"), 0o755); err != nil {
		t.Fatal(err)
	}
	set := extern.New(extern.Dirs{Roles: []string{b, a}})
	for _, c := range []struct {
		name string
		want []string // in the error
	}{
		{"one", nil},
		{"two", []string{`there are two programs for the type "two": `, two, other}},
		{"mode", []string{mode + " is not executable; chmod +x"}},
		{"plain", []string{plain + " has no line that begins with roleInfo = or transportInfo =, and is not executable"}},
		{"lost", []string{lost, `"/no/such/interpreter", which is not on this machine`}},
	} {
		typ, searched, err := set.Role(c.name, []string{a, "/nonexistent"}, nil)
		if want := []string{a, "/nonexistent (which does not exist)", b, a}; !slices.Equal(searched, want) {
			t.Errorf("searched %q, want %q", searched, want)
		}
		if len(c.want) == 0 && (err != nil || typ.Name != c.name || !strings.Contains(typ.FreeForm, one+" --describe exited with status 1")) {
			t.Errorf("%s: %+v, %v", c.name, typ, err)
		}
		for _, w := range c.want {
			if !strings.Contains(fmt.Sprint(err), w) {
				t.Errorf("%s: %v; want %q", c.name, err, w)
			}
		}
	}
	for _, name := range []string{"dir", "on", "one.pyc", "three", "x/../one"} {
		if typ, _, err := set.Role(name, []string{a}, nil); err != nil || typ.Name != "" {
			t.Errorf("%s: found %q, %v", name, typ.Name, err)
		}
	}
}
