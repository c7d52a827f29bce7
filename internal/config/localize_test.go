package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kozo"
	"kozo/internal/config"
)

// keys are public keys to hand out.
func keys(t testing.TB) func(kozo.NodeName) (string, string, error) {
	t.Helper()
	var lines []string
	for _, n := range parse(t, good(t, "anchors")).System.Nodes {
		lines = append(lines, n.PublicKey)
	}
	return func(node kozo.NodeName) (string, string, error) {
		if len(lines) == 0 {
			return "", "", errors.New("no keys are left")
		}
		line := lines[0]
		lines = lines[1:]
		return "/net/" + string(node) + "/key", line, nil
	}
}

func ports() func() (int, error) {
	next := 40000
	return func() (int, error) { next++; return next, nil }
}

// TestLocalize compares what becomes of some files with testdata/local.
func TestLocalize(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "local", "*.yml"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range append(files, filepath.Join("testdata", "good", "example.yml"), filepath.Join("testdata", "good", "anchors.yml")) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".yml"), func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			out, err := config.Localize("config.yml", data, config.Types{Registry: registry(t)}, config.LocalizeOptions{Dir: "/net", Key: keys(t), FreePort: ports()})
			if err != nil {
				t.Fatal(err)
			}
			compare(t, filepath.Join("testdata", "local", strings.TrimSuffix(filepath.Base(path), ".yml")+".golden"), out)

			before, after := parse(t, data).System, parse(t, out)
			for _, w := range after.Warnings {
				if strings.Contains(w.Message, "onion") {
					t.Error(w)
				}
			}
			bound := map[string]bool{}
			for i, n := range after.System.Nodes {
				was := before.Nodes[i]
				if n.Name != was.Name || len(n.Roles) != len(was.Roles) || len(n.Transports) != len(was.Transports) {
					t.Errorf("node %s has become %+v", was.Name, n)
				}
				for j, tr := range n.Transports {
					if tr.Type != was.Transports[j].Type {
						t.Errorf("transport %s has become %s", was.Transports[j].Type, tr.Type)
					}
					bind(t, bound, tr.Transport)
				}
				for _, r := range n.Roles {
					instance, err := r.New()
					if err != nil {
						t.Fatal(err)
					}
					bind(t, bound, instance)
				}
			}
		})
	}
}

// bind fails if something is taken on the machine already, or is open to others.
func bind(t *testing.T, bound map[string]bool, part any) {
	t.Helper()
	b, ok := part.(kozo.Binder)
	if !ok {
		return
	}
	for _, what := range b.Binds() {
		what = strings.Replace(what, "localhost", "127.0.0.1", 1)
		if bound[what] || !strings.Contains(what, "127.0.0.1:") {
			t.Errorf("%s is bound", what)
		}
		bound[what] = true
	}
}

func TestLocalizeFails(t *testing.T) {
	opts := config.LocalizeOptions{Dir: "/net", Key: keys(t), FreePort: ports()}
	_, err := config.Localize("config.yml", []byte("system: {}\n"), config.Types{Registry: registry(t)}, opts)
	if _, ok := errors.AsType[*config.Problems](err); !ok {
		t.Errorf("a wrong file: %v", err)
	}
	busy := opts
	busy.FreePort = func() (int, error) { return 0, os.ErrPermission }
	if _, err := config.Localize("config.yml", good(t, "example"), config.Types{Registry: registry(t)}, busy); !errors.Is(err, os.ErrPermission) {
		t.Errorf("no port: %v", err)
	}
	same := opts
	same.Key = keys(t)
	same.FreePort = func() (int, error) { return 40000, nil }
	if _, err := config.Localize("config.yml", good(t, "example"), config.Types{Registry: registry(t)}, same); err == nil {
		t.Error("one port was given twice")
	}
	poor := opts
	poor.Key = func(kozo.NodeName) (string, string, error) { return "", "", os.ErrPermission }
	if _, err := config.Localize("config.yml", good(t, "example"), config.Types{Registry: registry(t)}, poor); !errors.Is(err, os.ErrPermission) {
		t.Errorf("no key: %v", err)
	}
}
