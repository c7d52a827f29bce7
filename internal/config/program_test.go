package config_test

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"kozo"
	"kozo/internal/config"
)

// programs are the types of a directory, made up.
type programs struct {
	roles    map[string]kozo.RoleType
	err      error
	searched []string // the last time
	imports  []string
}

func (p *programs) Role(name string, search, imports []string) (kozo.RoleType, []string, error) {
	p.searched, p.imports = search, imports
	if p.err != nil {
		return kozo.RoleType{}, search, p.err
	}
	return p.roles[name], search, nil
}

func (p *programs) Transport(_ string, search, _ []string) (t kozo.TransportType, _ []string, _ error) {
	return t, search, nil
}

type bell struct{ values kozo.Values }

func (bell) Run(context.Context, *kozo.Env) error { return nil }
func (b bell) Interest() []kozo.Filter {
	return []kozo.Filter{{Kind: kozo.Event, Type: b.values["zone"].(string)}}
}

func bells() *programs {
	return &programs{roles: map[string]kozo.RoleType{
		"bell": {
			Name: "bell", Options: []kozo.Option{
				{Name: "zone", Type: kozo.TypeString, Required: true, Doc: "Where it rings."},
				{Name: "pin", Type: kozo.TypeInt, Default: "17"},
			},
			New: func(v kozo.Values) (kozo.Role, error) { return bell{v}, nil },
		},
		"loose": {
			Name: "loose", FreeForm: "it says nothing", LateInterest: true,
			New: func(v kozo.Values) (kozo.Role, error) { return idle{}, nil },
		},
		"vain": {Name: "vain", Options: []kozo.Option{{Name: "description", Type: kozo.TypeString}}},
	}}
}

const withBells = `
rolePath: roles:/opt/roles
importPath: lib
system:
    clock:
        privateKey: clock.key
        publicKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVm0Nkuqk9xs+VvWr0RFSHCp4TQbn1Y0aCdTCzq0bHN
        roles:
            bell: {zone: hall}
            loose: {a: 1, b: [yes, "2", {c: null}], d: 0x10, e: 007, description: a text}
    desk:
        privateKey: desk.key
        publicKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPQgIWU07GOo+nbWnp8u9SeAxtuGwe4VtfImaMrYcvwh
        overrideMainConfiguration: {rolePath: mine}
        roles:
            faraway: {x: 1}
`

// TestPrograms reads a file with types that are programs.
func TestPrograms(t *testing.T) {
	p := bells()
	file, err := config.Parse("/etc/kozo/config.yml", []byte(withBells), config.Types{Registry: registry(t), Programs: p})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"/etc/kozo/mine"}; !slices.Equal(p.searched, want) || !slices.Equal(p.imports, []string{"/etc/kozo/lib"}) {
		t.Errorf("searched %q, with %q", p.searched, p.imports)
	}
	clock, desk := file.System.Nodes[0], file.System.Nodes[1]
	if r := clock.Role("bell"); !r.Known || r.Values["pin"] != 17 || r.Wants()[0].Type != "hall" {
		t.Errorf("the bell is %+v", r)
	}
	loose := clock.Role("loose")
	if want := (kozo.Values{"a": 1, "b": []any{"yes", "2", map[string]any{"c": nil}}, "d": 16, "e": "007"}); !reflect.DeepEqual(loose.Values, want) {
		t.Errorf("free options are %#v", loose.Values)
	}
	if loose.Description != "a text" || !reflect.DeepEqual(loose.Wants(), []kozo.Filter{{}}) {
		t.Errorf("the loose one is %+v", loose)
	}
	if r := desk.Role("faraway"); r.Known || !reflect.DeepEqual(r.Wants(), []kozo.Filter{{}}) {
		t.Errorf("the one elsewhere is %+v", r)
	}
	var said []string
	for _, w := range file.Warnings {
		said = append(said, w.Summary())
	}
	if len(said) != 2 || !file.Warnings[0].Note || file.Warnings[1].Note ||
		!strings.HasSuffix(said[0], `role "loose" of node "clock": the options of type loose are not checked, since it says nothing`) ||
		!strings.HasSuffix(said[1], `the type "faraway" is not on this machine, so its options are not checked (there is no file faraway or faraway.* in /etc/kozo/mine)`) {
		t.Errorf("said %q", said)
	}
}

// TestWhoseProgram must be where: only the node that runs a role needs its file.
func TestWhoseProgram(t *testing.T) {
	broken := bells()
	broken.err = errors.New("it is broken")
	for _, c := range []struct {
		name     string
		programs *programs
		here     string
		want     string // of the error
	}{
		{"not here", bells(), "clock", ""},
		{"missing here", bells(), "desk", `unknown type of role "faraway"`},
		{"broken here", broken, "clock", "it is broken"},
		{"broken, whosever it is", broken, "", "it is broken"},
		{"broken elsewhere", broken, "other", ""},
	} {
		types := config.Types{Registry: registry(t), Programs: c.programs}
		if c.here != "" {
			types.Here = func(n kozo.NodeName) bool { return string(n) == c.here }
		}
		file, err := config.Parse("config.yml", []byte(withBells), types)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
		if c.name == "broken elsewhere" && err == nil && len(file.Warnings) != 3 {
			t.Errorf("%s: %v", c.name, file.Warnings)
		}
	}
	// Without directories a type that nobody knows is a mistake, as ever.
	text := strings.Replace(withBells, "{rolePath: mine}", "{rolePath: []}", 1)
	if _, err := config.Parse("config.yml", []byte(text), config.Types{Registry: registry(t), Programs: bells()}); err == nil ||
		!strings.Contains(err.Error(), `unknown type of role "faraway"`) {
		t.Errorf("without directories: %v", err)
	}
}

// TestDigestOfPrograms: nodes must not take each other's file for another only
// because one of them has a program that the other lacks.
func TestDigestOfPrograms(t *testing.T) {
	digest := func(p *programs, text string) map[string]string {
		t.Helper()
		file, err := config.Parse("config.yml", []byte(text), config.Types{Registry: registry(t), Programs: p})
		if err != nil {
			t.Fatal(err)
		}
		return file.System.Digest
	}
	have, lack := digest(bells(), withBells), digest(&programs{}, withBells)
	if !reflect.DeepEqual(have, lack) {
		t.Errorf("who has the programs has the digest %v, who lacks them %v", have, lack)
	}
	other := digest(&programs{}, strings.Replace(withBells, "x: 1", "x: 2", 1))
	if other["system.desk"] == lack["system.desk"] || other["system.clock"] != lack["system.clock"] {
		t.Error("an option of a program that differs is not noticed")
	}
}

// TestProgramMistakes: the options of a program are checked like those of a type
// that is built in.
func TestProgramMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"bell: {zone: hall, pin: x}":  `config.yml:9:37: role "bell" of node "clock": pin: expected a whole number, found "x"`,
		"bell: {zone: hall, pinn: 1}": `unknown option "pinn" (did you mean "pin"?)`,
		"bell: {}":                    `the option "zone" is missing (it is required: where it rings)`,
		"vain: {}":                    `the type vain describes an option "description", which every block has already`,
	} {
		_, err := config.Parse("config.yml", []byte(strings.Replace(withBells, "bell: {zone: hall}", text, 1)),
			config.Types{Registry: registry(t), Programs: bells()})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", text, err, want)
		}
	}
}

// TestLocalizePrograms moves a file to another directory: it still finds its
// programs.
func TestLocalizePrograms(t *testing.T) {
	types := config.Types{Registry: registry(t), Programs: bells()}
	out, err := config.Localize("/etc/kozo/config.yml", []byte(withBells), types,
		config.LocalizeOptions{Dir: "/net", Key: keys(t), FreePort: ports()})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"rolePath: /etc/kozo/roles:/opt/roles\n", "importPath: /etc/kozo/lib\n", "rolePath: /etc/kozo/mine"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the file has no %s:\n%s", want, out)
		}
	}
}
