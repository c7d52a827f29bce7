// Package trial tries a program that is a role or a transport against
// docs/protocol-programs.md, and says in plain words what it finds.
package trial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"kozo"
	"kozo/internal/extern"
	"kozo/internal/extern/program"
	"kozo/internal/extern/protocol"
)

// Verdict is how good something is that was found.
type Verdict string

// The verdicts.
const (
	OK    Verdict = "ok"
	Note  Verdict = "note"  // allowed, and good to know
	Wrong Verdict = "wrong" // against the specification
)

// Finding is one thing that was found.
type Finding struct {
	Verdict Verdict `json:"verdict"`
	Text    string  `json:"text"`
}

// Config is what is tried, and how.
type Config struct {
	Path   string
	Values map[string]string // of options, as they would stand in the file
	Report func(Finding)     // called for each finding, at once
}

// trial is one trial.
type trial struct {
	Config
	set   *extern.Set
	wrong int
}

// Run tries a program. It returns how many things are wrong with it; each of them
// was reported.
func Run(ctx context.Context, cfg Config) (wrong int) {
	t := &trial{Config: cfg, set: extern.New(extern.Dirs{})}
	t.set.Grease = true
	kind := t.describe()
	defer t.set.Close()
	switch {
	case ctx.Err() != nil:
	case kind == protocol.KindRole:
		t.role(ctx)
	case kind == protocol.KindTransport:
		t.transport(ctx)
	}
	return t.wrong
}

func (t *trial) say(v Verdict, format string, args ...any) {
	if v == Wrong {
		t.wrong++
	}
	t.Report(Finding{v, kozo.Printable(fmt.Sprintf(format, args...))})
}

// describe looks at the file and its description, and says what it is; nothing if
// it is not worth going on.
func (t *trial) describe() string {
	info, err := os.Stat(t.Path)
	switch {
	case err != nil:
		t.say(Wrong, "there is no such file: %v", err)
		return ""
	case !info.Mode().IsRegular():
		t.say(Wrong, "%s is not a file", t.Path)
		return ""
	}
	begin := time.Now()
	d, err := t.set.Describe(t.Path)
	took := time.Since(begin)
	if u, ok := errors.AsType[*program.UndescribedError](err); ok {
		t.say(Note, "it does not describe itself, so nothing can check its options and nobody knows beforehand what it wants: %s", u.Reason)
		return protocol.KindRole
	}
	if err != nil {
		t.say(Wrong, "%v", err)
		return ""
	}
	t.say(OK, "describes itself as a %s, in %v", d.Kind, took.Round(time.Millisecond))
	if took > 3*time.Second {
		t.say(Note, "--describe took %v; every kozo check waits for it", took.Round(100*time.Millisecond))
	}
	if d.FreeForm {
		t.say(Note, `the description has no "options", so every option is taken unchecked`)
	}
	for _, o := range d.Options {
		if o.Doc == "" {
			t.say(Note, "the option %q has no description", o.Name)
		}
	}
	if d.Doc == "" {
		t.say(Note, "it has no description for people")
	}
	if d.Kind == protocol.KindRole && !d.HasFilters {
		t.say(Note, `the description has no "filters", so other nodes send it everything until they are connected`)
	}
	return d.Kind
}

// values are those of the options: what was given, the defaults, and something for
// what is required.
func (t *trial) values(options []kozo.Option, free bool) (kozo.Values, bool) {
	values, used := kozo.Values{}, map[string]bool{}
	good := true
	for _, o := range options {
		text, given := t.Values[o.Name]
		used[o.Name] = true
		var v any
		var err error
		switch {
		case given:
			v, err = o.Parse(kozo.Raw{Text: text})
		case o.Required:
			text = sample(o)
			t.say(Note, "the option %q is required; it is tried with %q (--set %s=VALUE tries another)", o.Name, text, o.Name)
			v, err = o.Parse(kozo.Raw{Text: text})
		default:
			v, err = o.DefaultValue()
		}
		if err != nil {
			t.say(Wrong, "option %q: %v", o.Name, err)
			good = false
		}
		values[o.Name] = v
	}
	for name, text := range t.Values {
		if used[name] {
			continue
		}
		if !free {
			t.say(Wrong, "there is no option %q", name)
			good = false
			continue
		}
		values[name], _ = kozo.Option{Name: name, Type: kozo.TypeAny}.Parse(kozo.Raw{Text: text})
	}
	return values, good
}

// sample is a value for an option that is required.
func sample(o kozo.Option) string {
	switch {
	case len(o.OneOf) > 0:
		return o.OneOf[0]
	case o.Min != "":
		return o.Min
	}
	switch o.Type {
	case kozo.TypeBool:
		return "true"
	case kozo.TypeInt, kozo.TypeNumber, kozo.TypeDuration, kozo.TypeSize:
		return "1"
	case kozo.TypePort:
		return "7099"
	case kozo.TypePath, kozo.TypePaths:
		return os.TempDir()
	}
	return "x"
}

// words joins what a role wants for people.
func words(filters []kozo.Filter) string {
	if len(filters) == 0 {
		return "nothing"
	}
	var list []string
	for _, f := range filters {
		list = append(list, f.String())
	}
	return strings.Join(list, ", ")
}
