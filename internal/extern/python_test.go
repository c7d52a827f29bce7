//go:build unix

package extern_test

import (
	"bytes"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kozo"
	"kozo/internal/extern"
	"kozo/kozotest"
)

// pythonDir makes a directory with a file that is run by the Python package. It is
// not executable.
func pythonDir(t *testing.T, text string) string {
	t.Helper()
	if out, err := exec.Command("python3", "-c", "import sys; sys.exit(sys.version_info < (3, 9))").CombinedOutput(); err != nil {
		t.Skipf("this needs python3, 3.9 or later: %v %s", err, out)
	}
	t.Setenv("CACHE_DIRECTORY", t.TempDir())
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bell.py"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

const pythonEcho = `
from kozo import Role, NODE_NAME
class Echo(Role):
    def run(self):
        self.sendEvent('out', channel=self['to'], data=self.getMessage().getData())
roleInfo = {'format': '1.0', 'class': Echo, 'author': 'Jane', 'version': '1.2', 'description': 'Says it again.',
            'filters': ['event:in'], 'publishes': ['event:out'], 'config': {
    'to': {'default': NODE_NAME, 'description': 'Channel.'}, 'rate': {'default': 1}, 'need': {'description': 'Needed.'}}}
`

// TestPythonValues has a role in Python send back what it gets, with all sorts of
// content.
func TestPythonValues(t *testing.T) {
	dir := pythonDir(t, pythonEcho)
	typ, _, err := extern.New(extern.Dirs{}).Role("bell", []string{dir}, nil)
	if err != nil || typ.FreeForm != "" || typ.Doc != "Says it again (version 1.2, by Jane)." || len(typ.Options) != 3 {
		t.Fatalf("%+v, %v", typ, err)
	}
	r := kozotest.RunRole(t, kozotest.Make(t, typ, kozo.Values{"need": "x"}))
	values := []any{
		nil, true, false, int64(0), int64(-1 << 63), int64(1<<53 + 1), uint64(1<<64 - 1), 3.0, 0.1, 1e300, 1e22, math.Inf(1), math.Inf(-1),
		"", "tschüß\n\"\\\x00\u2028", []byte{}, []byte{0, 255}, []any{}, []any{int64(1), []any{"x", nil}}, map[string]any{},
		map[string]any{"a": int64(1), "$b": nil}, map[string]any{"$bytes": "x"}, map[string]any{"$$": []byte("y")},
		map[string]any{"$float": []any{math.Inf(1)}}, "$bytes",
	}
	for _, v := range values {
		r.Deliver(event("in", v))
	}
	r.Wait("all of them", func() bool { return len(r.Sent()) >= len(values) })
	for i, m := range r.Sent() {
		want, err := kozo.Pack(values[i])
		if err != nil {
			t.Fatal(err)
		}
		if m.Kind != kozo.Event || m.Type != "out" || m.Channel == "" || !bytes.Equal(m.Body, want) {
			t.Errorf("%v came back as %s %s %s %v", values[i], m.Kind, m.Type, m.Channel, m.Body.Text())
		}
	}
	r.Stop()
	if a := r.Account(); a.Taken != uint64(len(values)) || len(a.Dropped) != 0 {
		t.Errorf("the account is %+v", a)
	}
}

// TestPythonMistakes looks at what is said about files that cannot be used.
func TestPythonMistakes(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{strings.Replace(pythonEcho, "'1.0'", "'2.0'", 1), "roleInfo['format'] should be '1.0', and is '2.0'"},
		{"import nosuchmodule\n" + pythonEcho, "No module named 'nosuchmodule'"},
		{strings.Replace(pythonEcho, "'default': 1", "'defualt': 1", 1), "unknown key 'defualt'"},
		{"roleInfo = 3\n", "should be a dictionary"},
		{"from kozo import *\nclass T(Transport): pass\ntransportInfo = {'format': '1.0', 'class': T}\n", "describes itself as a transport"},
	} {
		_, _, err := extern.New(extern.Dirs{}).Role("bell", []string{pythonDir(t, c.text)}, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v; want %q", err, c.want)
		}
	}
	dir := pythonDir(t, pythonEcho)
	t.Setenv("PATH", t.TempDir())
	_, _, err := extern.New(extern.Dirs{}).Role("bell", []string{dir}, nil)
	if err == nil || !strings.Contains(err.Error(), "install Python 3.9 or later") {
		t.Errorf("without python3: %v", err)
	}
}

// TestPythonTransportsConform tries the transport of the documentation, and one
// whose connections have only the four methods that they must have.
func TestPythonTransportsConform(t *testing.T) {
	pythonDir(t, "") // skips without python3
	const noEndpoint = "a program is only given the endpoints that the remote block has"
	for _, c := range []struct {
		name, dir string
		skip      map[string]string
	}{
		{"documented", "../../sdk/python/examples", map[string]string{"silence": noEndpoint}},
		{"four methods", "../../sdk/python/tests", map[string]string{
			"silence": noEndpoint, "half-close": "an object without shutdown can only be closed as a whole",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			kozotest.TestTransport(t, kozotest.TransportTest{
				Type:    transportIn(t, c.dir, "mytransport"),
				Options: kozo.Values{"address": "127.0.0.1, localhost", "port": float64(kozotest.FreePort(t))},
				Dialer:  kozo.Values{"address": "none", "port": float64(kozotest.FreePort(t))},
				Skip:    c.skip,
			})
		})
	}
}
