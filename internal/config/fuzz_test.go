package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"kozo/internal/config"
)

// FuzzParse gives the reader whatever there is. Every problem has a place in the
// file, and none takes long. A file without problems means something, and can be
// made local.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*", "*.yml"))
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	types := registry(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		defer func() {
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("it took %v", took)
			}
		}()
		file, err := config.Parse("f", data, config.Types{Registry: types})
		if err == nil {
			valid(t, file.Warnings)
			if len(file.System.Nodes) == 0 {
				t.Error("a system without nodes")
			}
			if len(data) > 10_000 || len(file.System.Nodes) > 3 {
				return
			}
			_, err := config.Localize("f", data, config.Types{Registry: types}, config.LocalizeOptions{Dir: "/net", Key: keys(t), FreePort: ports()})
			if err != nil {
				t.Errorf("it cannot be made local: %v", err)
			}
			return
		}
		p, ok := errors.AsType[*config.Problems](err)
		if !ok || len(p.List) == 0 {
			t.Fatalf("the error is a %T: %v", err, err)
		}
		valid(t, p.List)
	})
}

func valid(t *testing.T, list []config.Problem) {
	t.Helper()
	for _, p := range list {
		if p.Message == "" || strings.Contains(p.Summary(), "\n") {
			t.Errorf("the message is %q", p.Summary())
		}
		if p.Line == 0 && p.Column == 0 { // the file as a whole
			continue
		}
		if p.Line < 1 || p.Column < 1 || p.Column > utf8.RuneCountInString(p.Source)+1 || strings.Contains(p.Source, "\n") {
			t.Errorf("the place is %d:%d in %q", p.Line, p.Column, p.Source)
		}
		for _, r := range p.String() {
			if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
				t.Errorf("%q would disturb a terminal", p.String())
			}
		}
	}
}
