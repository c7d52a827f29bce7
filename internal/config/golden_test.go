package config_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kozo"
	"kozo/internal/config"
	"kozo/standard"
)

var update = flag.Bool("update", false, "write the golden files and docs/config.md anew")

// registry is what ships, and some types that misbehave.
func registry(t testing.TB) *kozo.Registry {
	t.Helper()
	types := standard.Registry()
	type none struct{}
	type pair struct {
		Low  int    `option:"low" default:"1" doc:"least"`
		High int    `option:"high" default:"2" doc:"most"`
		Dir  string `option:"dir" default:"" doc:"where"`
	}
	roles := []kozo.RoleType{
		kozo.DefineRole("panics", "A role that cannot be made.", func(none) (kozo.Role, error) { panic("no such thing") }),
		kozo.DefineRole("pair", "A role with options that depend on each other.", func(o pair) (kozo.Role, error) {
			var errs []error
			if o.Low > o.High {
				errs = append(errs, kozo.Errorf("low", "%d is more than high", o.Low), kozo.Errorf("high", "%d is less than low", o.High))
			}
			if o.Dir == "?" {
				errs = append(errs, errors.New("this cannot work"))
			}
			return idle{}, errors.Join(errs...)
		}),
		kozo.DefineRole("listener", "A role that listens to another one.", func(o listener) (kozo.Role, error) { return o, nil }),
		kozo.DefineRole("publisher", "A role that says what it sends.", func(none) (kozo.Role, error) { return publisher{}, nil }),
	}
	for _, r := range roles {
		if err := types.AddRole(r); err != nil {
			t.Fatal(err)
		}
	}
	type far struct {
		Address string    `option:"address" doc:"a place that is far away"`
		Port    kozo.Port `option:"port" default:"9003" doc:"a port"`
	}
	transports := []kozo.TransportType{
		kozo.DefineTransport("pipe", "A transport that goes nowhere.", func(none) (kozo.Transport, error) { return pipe{}, nil }),
		kozo.DefineTransport("far", "A transport that does not take every address.", func(o far) (kozo.Transport, error) {
			if !strings.HasSuffix(o.Address, ".far") {
				return nil, kozo.Errorf("address", "%q is not far away", o.Address)
			}
			return pipe{}, nil
		}),
	}
	for _, tr := range transports {
		if err := types.AddTransport(tr); err != nil {
			t.Fatal(err)
		}
	}
	return types
}

type idle struct{}

func (idle) Run(ctx context.Context, _ *kozo.Env) error { return nil }

type listener struct {
	idle
	To string `option:"to" doc:"role to listen to"`
}

func (l listener) Interest() []kozo.Filter { return []kozo.Filter{{Role: kozo.RoleName(l.To)}} }

type publisher struct{ idle }

func (publisher) Publishes() []kozo.Filter { return []kozo.Filter{{Kind: kozo.Event, Type: "ding"}} }

type pipe struct{}

func (pipe) Endpoints() []string { return nil }
func (pipe) Dial(context.Context, *kozo.TransportEnv, string) (net.Conn, error) {
	return nil, errors.ErrUnsupported
}
func (pipe) Listen(context.Context, *kozo.TransportEnv) (net.Listener, error) {
	return nil, errors.ErrUnsupported
}

// TestGolden reads every file of testdata. What is said about those in bad, and
// the warnings about those in good, stands in the .golden file beside each.
func TestGolden(t *testing.T) {
	for folder, least := range map[string]int{"bad": 40, "good": 10} {
		files, err := filepath.Glob(filepath.Join("testdata", folder, "*.yml"))
		if err != nil || len(files) < least {
			t.Fatalf("%d files in %s, expected at least %d (%v)", len(files), folder, least, err)
		}
		for _, path := range files {
			t.Run(folder+"/"+strings.TrimSuffix(filepath.Base(path), ".yml"), func(t *testing.T) {
				data, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				file, err := config.Parse(filepath.Base(path), data, config.Types{Registry: registry(t)})
				if wrong := err != nil; wrong != (folder == "bad") {
					t.Fatalf("unexpected result:\n%v", err)
				}
				compare(t, strings.TrimSuffix(path, ".yml")+".golden", said(t, file, err))
			})
		}
	}
}

// said is what a person sees of a file.
func said(t *testing.T, file *config.File, err error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err != nil {
		if _, ok := errors.AsType[*config.Problems](err); !ok {
			t.Fatalf("the error is a %T: %v", err, err)
		}
		b.WriteString(err.Error() + "\n")
		return b.Bytes()
	}
	for _, w := range file.Warnings {
		b.WriteString("warning: " + w.String() + "\n")
	}
	return b.Bytes()
}

func compare(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run go test ./internal/config -update and read what it wrote", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what is said now; if that is better run go test ./internal/config -update\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}
