package standard_test

import (
	"testing"

	"kozo/standard"
)

// Everything that ships describes itself, and every default is one that its own
// type accepts.
func TestRegistry(t *testing.T) {
	r := standard.Registry()
	for _, name := range []string{"bluetooth-discover", "cuckoo", "debugger", "logger", "message_injector", "motion-detect", "timer"} {
		typ, ok := r.Role(name)
		if !ok {
			t.Errorf("there is no role type %s", name)
			continue
		}
		if typ.Doc == "" {
			t.Errorf("role type %s has no description", name)
		}
		for _, o := range typ.Options {
			if o.Doc == "" {
				t.Errorf("option %s of role type %s has no description", o.Name, name)
			}
		}
		if _, err := typ.New(nil); err != nil {
			t.Errorf("role type %s does not accept its own defaults: %v", name, err)
		}
	}
	typ, ok := r.Transport("tcp")
	if !ok {
		t.Fatal("there is no transport type tcp")
	}
	for _, o := range typ.Options {
		if o.Doc == "" {
			t.Errorf("option %s of transport type tcp has no description", o.Name)
		}
	}
	// A registry is a value: what a program adds to one is not in the next.
	extra := typ
	extra.Name = "extra"
	if err := r.AddTransport(extra); err != nil {
		t.Fatal(err)
	}
	if _, ok := standard.Registry().Transport("extra"); ok {
		t.Error("two registries share their types")
	}
}
