package kozo

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// OptionType is the type of an option's value, as people know it.
type OptionType string

// The types of options, with the Go type of the value that [Option.Parse]
// returns and of the field that holds it.
const (
	TypeString   OptionType = "string"   // string
	TypeBool     OptionType = "bool"     // bool
	TypeInt      OptionType = "int"      // int
	TypeNumber   OptionType = "number"   // float64
	TypeDuration OptionType = "duration" // time.Duration: a number of seconds, or "500ms"
	TypeSize     OptionType = "size"     // Size: a number of bytes, or "4MiB"
	TypeList     OptionType = "list"     // List: a list, or a string with commas
	TypePaths    OptionType = "paths"    // Paths: a list, or a string with colons
	TypePath     OptionType = "path"     // Path: a file or directory of the machine
	TypePort     OptionType = "port"     // Port: 1 to 65535
)

// The types of option fields that are not plain Go types.
type (
	Size  int64    // a number of bytes
	List  []string // a list of words
	Paths []string // a list of directories
	Path  string   // a file or directory of the machine
	Port  int      // the number of a TCP or UDP port
)

// Option describes one option of a role, a transport or another block of the
// configuration. [DefineRole] and [DefineTransport] make one of each field of a
// struct that has an option tag:
//
//	type options struct {
//		Tick time.Duration `option:"tick" default:"1" min:"0.001" doc:"time between two messages"`
//		Name string        `option:"name" doc:"required, since it has no default"`
//		Note string        `option:"note" default:"" doc:"optional, and empty if it is not given"`
//		Mode string        `option:"mode" default:"fast" oneof:"fast,slow" doc:"one of two words"`
//	}
type Option struct {
	Name     string     `json:"name"`
	Type     OptionType `json:"type"`
	Default  string     `json:"default,omitempty"` // as it would be written in the file
	Required bool       `json:"required,omitempty"`
	Doc      string     `json:"doc"`
	Min      string     `json:"min,omitempty"` // least value, of a number, duration or size
	Max      string     `json:"max,omitempty"` // greatest value
	OneOf    []string   `json:"oneof,omitempty"`
}

// Values holds the values of options by name, in the Go types that their
// [OptionType] says, defaults filled in.
type Values map[string]any

// OptionError is an error about one option, so that it can be shown at the line
// where the option stands. An empty Option means the block as a whole.
type OptionError struct {
	Option string
	Err    error
}

// Errorf makes an OptionError.
func Errorf(option, format string, args ...any) *OptionError {
	return &OptionError{Option: option, Err: fmt.Errorf(format, args...)}
}

// Error names the option and what is wrong with it.
func (e *OptionError) Error() string {
	if e.Option == "" {
		return e.Err.Error()
	}
	return e.Option + ": " + e.Err.Error()
}

// Unwrap returns the error without the name of the option.
func (e *OptionError) Unwrap() error { return e.Err }

// Raw is a value as it stands in a file: a scalar with its text, or a list.
type Raw struct {
	Text   string // of a scalar
	Quoted bool   // the scalar was written as a string: "yes" and not yes
	List   []Raw  // of a list
	IsList bool
}

// Parse checks a value and converts it to the Go type that the option's type
// says. The error says what was expected.
func (o Option) Parse(raw Raw) (any, error) {
	v, err := o.parse(raw)
	if err != nil {
		return nil, err
	}
	if err := o.checkRange(v); err != nil {
		return nil, err
	}
	return v, nil
}

func (o Option) parse(raw Raw) (any, error) {
	switch o.Type {
	case TypeList:
		list, err := raw.split(",")
		return List(list), err
	case TypePaths:
		list, err := raw.split(string(filepath.ListSeparator))
		return Paths(list), err
	}
	if raw.IsList {
		return nil, fmt.Errorf("expected %s, found a list", o.Type.article())
	}
	text := strings.TrimSpace(raw.Text)
	bad := func() error { return fmt.Errorf("expected %s, found %q", o.Type.article(), raw.Text) }
	switch o.Type {
	case TypeString:
		if len(o.OneOf) > 0 && !slices.Contains(o.OneOf, raw.Text) {
			return nil, fmt.Errorf("expected one of %s, found %q", strings.Join(o.OneOf, ", "), raw.Text)
		}
		return raw.Text, nil
	case TypePath:
		if strings.ContainsRune(raw.Text, 0) {
			return nil, errors.New("a path cannot contain a zero byte")
		}
		return Path(raw.Text), nil
	case TypeBool:
		switch text {
		case "true", "True", "TRUE", "yes", "Yes", "on", "On":
			return true, nil
		case "false", "False", "FALSE", "no", "No", "off", "Off":
			return false, nil
		}
		return nil, fmt.Errorf("expected true or false, found %q", raw.Text)
	case TypeInt, TypePort:
		i, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 0, 64)
		if err != nil {
			return nil, bad()
		}
		if o.Type == TypeInt {
			return int(i), nil
		}
		if i < 1 || i > 65535 {
			return nil, fmt.Errorf("a port is a number from 1 to 65535, not %d", i)
		}
		return Port(i), nil
	case TypeNumber:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, bad()
		}
		return f, nil
	case TypeDuration:
		return parseDuration(text)
	case TypeSize:
		return parseSize(text)
	}
	return nil, fmt.Errorf("the option has the unknown type %q", o.Type)
}

func (t OptionType) article() string {
	switch t {
	case TypeInt:
		return "a whole number"
	case TypeDuration:
		return "a number of seconds or a duration like 500ms"
	case TypeSize:
		return "a number of bytes or a size like 4MiB"
	case TypeList:
		return "a list, or words with commas between them"
	case TypePaths:
		return "a list of directories, or directories with colons between them"
	case TypePort:
		return "a port number"
	}
	return "a " + string(t)
}

func (r Raw) split(sep string) ([]string, error) {
	var out []string
	if !r.IsList {
		for word := range strings.SplitSeq(r.Text, sep) {
			if word = strings.TrimSpace(word); word != "" {
				out = append(out, word)
			}
		}
		return out, nil
	}
	for i, e := range r.List {
		if e.IsList {
			return nil, fmt.Errorf("entry %d of the list is a list itself", i+1)
		}
		if word := strings.TrimSpace(e.Text); word != "" {
			out = append(out, word)
		}
	}
	return out, nil
}

// maxDuration keeps sums and multiples of durations from overflowing.
const maxDuration = 100 * 365 * 24 * time.Hour

func parseDuration(text string) (time.Duration, error) {
	bad := fmt.Errorf("expected %s, found %q", TypeDuration.article(), text)
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		if math.IsNaN(f) || math.Abs(f) > maxDuration.Seconds() {
			return 0, bad
		}
		return time.Duration(math.Round(f * float64(time.Second))), nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d.Abs() > maxDuration {
		return 0, bad
	}
	return d, nil
}

var sizeUnits = []struct {
	suffix string
	factor float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1},
}

func parseSize(text string) (Size, error) {
	number, factor := text, 1.0
	for _, u := range sizeUnits {
		if n, ok := strings.CutSuffix(text, u.suffix); ok {
			number, factor = strings.TrimSpace(n), u.factor
			break
		}
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !(math.Abs(f*factor) < 1<<53) {
		return 0, fmt.Errorf("expected %s, found %q", TypeSize.article(), text)
	}
	return Size(f * factor), nil
}

// String writes the size with the largest binary unit that leaves no rest.
func (s Size) String() string {
	for _, u := range []struct {
		suffix string
		factor Size
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if s != 0 && s%u.factor == 0 {
			return strconv.FormatInt(int64(s/u.factor), 10) + u.suffix
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

func (o Option) checkRange(v any) error {
	limit := func(text string) (float64, bool) {
		if text == "" {
			return 0, false
		}
		bound, err := o.parse(Raw{Text: text})
		if err != nil {
			return 0, false
		}
		return magnitude(bound)
	}
	value, ok := magnitude(v)
	if !ok {
		return nil
	}
	if least, ok := limit(o.Min); ok && value < least {
		return fmt.Errorf("expected at least %s, found %v", o.Min, v)
	}
	if most, ok := limit(o.Max); ok && value > most {
		return fmt.Errorf("expected at most %s, found %v", o.Max, v)
	}
	return nil
}

func magnitude(v any) (float64, bool) {
	switch v := v.(type) {
	case int:
		return float64(v), true
	case float64:
		return v, true
	case time.Duration:
		return float64(v), true
	case Size:
		return float64(v), true
	}
	return 0, false
}

// optionTypes maps the Go type of a field to the type of its option.
func optionTypeOf(t reflect.Type) (OptionType, bool) {
	switch reflect.Zero(t).Interface().(type) {
	case string:
		return TypeString, true
	case bool:
		return TypeBool, true
	case int:
		return TypeInt, true
	case float64:
		return TypeNumber, true
	case time.Duration:
		return TypeDuration, true
	case Size:
		return TypeSize, true
	case List:
		return TypeList, true
	case Paths:
		return TypePaths, true
	case Path:
		return TypePath, true
	case Port:
		return TypePort, true
	}
	return "", false
}

// OptionsOf returns the options that a struct type describes with its tags. The
// error is a mistake in the program.
func OptionsOf(t reflect.Type) ([]Option, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("options are the fields of a struct, and %v is none", t)
	}
	var options []Option
	for f := range t.Fields() {
		name, ok := f.Tag.Lookup("option")
		if !ok {
			continue
		}
		typ, ok := optionTypeOf(f.Type)
		if !ok || !f.IsExported() {
			return nil, fmt.Errorf("field %s of %v cannot hold an option", f.Name, t)
		}
		def, optional := f.Tag.Lookup("default")
		o := Option{
			Name: name, Type: typ, Default: def, Required: !optional,
			Doc: f.Tag.Get("doc"), Min: f.Tag.Get("min"), Max: f.Tag.Get("max"),
		}
		if words := f.Tag.Get("oneof"); words != "" {
			o.OneOf = strings.Split(words, ",")
		}
		if _, err := o.DefaultValue(); err != nil {
			return nil, fmt.Errorf("the default of option %s of %v: %w", name, t, err)
		}
		options = append(options, o)
	}
	return options, nil
}

// DefaultValue returns the value of an option that is not given: its default,
// or nil for one that is required. An empty default is the zero value.
func (o Option) DefaultValue() (any, error) {
	if o.Required {
		return nil, nil
	}
	if o.Default == "" {
		return o.zero(), nil
	}
	return o.Parse(Raw{Text: o.Default})
}

func (o Option) zero() any {
	switch o.Type {
	case TypeBool:
		return false
	case TypeInt:
		return 0
	case TypeNumber:
		return 0.0
	case TypeDuration:
		return time.Duration(0)
	case TypeSize:
		return Size(0)
	case TypeList:
		return List(nil)
	case TypePaths:
		return Paths(nil)
	case TypePath:
		return Path("")
	case TypePort:
		return Port(0)
	}
	return ""
}

func optionsOf[O any]() []Option {
	options, err := OptionsOf(reflect.TypeFor[O]())
	if err != nil {
		panic(err)
	}
	return options
}

// decode fills a struct with values; a missing one is set to its default.
func decode[O any](v Values) (O, error) {
	var o O
	err := v.Decode(&o)
	return o, err
}

// Decode fills the struct to which target points with the values; a value that
// is not there is set to the default of its option. The error, an *OptionError,
// says that a required one is missing or that a value has another type.
func (v Values) Decode(target any) error {
	s := reflect.ValueOf(target).Elem()
	options, err := OptionsOf(s.Type())
	if err != nil {
		return err
	}
	byName := map[string]Option{}
	for _, o := range options {
		byName[o.Name] = o
	}
	for f, field := range s.Fields() {
		o, ok := byName[f.Tag.Get("option")]
		if !ok {
			continue
		}
		value, given := v[o.Name]
		if !given {
			if o.Required {
				return Errorf(o.Name, "this option is required")
			}
			if value, err = o.DefaultValue(); err != nil {
				return &OptionError{Option: o.Name, Err: err}
			}
		}
		rv := reflect.ValueOf(value)
		if !rv.IsValid() || rv.Type() != field.Type() {
			return Errorf(o.Name, "expected %s, found a %T", o.Type.article(), value)
		}
		field.Set(rv)
	}
	return nil
}
