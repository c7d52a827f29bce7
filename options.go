package kozo

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
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
	TypeAny      OptionType = "any"      // any: what YAML makes of it; the default is written as JSON, and not for fields of a struct
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
//		Code string        `option:"code" default:"" secret:"true" doc:"what is never shown"`
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
	Secret   bool       `json:"secret,omitempty"` // not to be shown
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
	case TypeAny:
		if raw.IsList {
			list := make([]any, len(raw.List))
			for i, e := range raw.List {
				list[i], _ = o.parse(e) // never fails
			}
			return list, nil
		}
	}
	if raw.IsList {
		return nil, fmt.Errorf("expected %s, found a list", o.Type.article())
	}
	text := strings.TrimSpace(raw.Text)
	switch o.Type {
	case TypeAny:
		return plainScalar(raw), nil
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
		switch strings.ToLower(text) {
		case "true", "yes", "on":
			return true, nil
		case "false", "no", "off":
			return false, nil
		}
		return nil, fmt.Errorf("expected true or false, found %q", raw.Text)
	case TypeInt:
		return parseInt(text)
	case TypePort:
		return parsePort(text)
	case TypeNumber:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, fmt.Errorf("expected %s, found %q", o.Type.article(), raw.Text)
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
	case TypeAny:
		return "a value"
	}
	return "a " + string(t)
}

// plainScalar is what a word in a YAML file means by itself.
func plainScalar(raw Raw) any {
	if raw.Quoted {
		return raw.Text
	}
	text := strings.TrimSpace(raw.Text)
	switch text {
	case "true", "True", "TRUE":
		return true
	case "false", "False", "FALSE":
		return false
	}
	if leadingZero(text) != nil || text == "" || !strings.ContainsRune("+-.0123456789", rune(text[0])) {
		return raw.Text
	}
	if i, err := strconv.ParseInt(text, 0, 64); err == nil && !strings.Contains(text, "_") {
		return int(i)
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && !strings.ContainsAny(text, "_pPxX") && !math.IsInf(f, 0) && !math.IsNaN(f) {
		return f
	}
	return raw.Text
}

func parseInt(text string) (int, error) {
	if err := leadingZero(text); err != nil {
		return 0, err
	}
	// An int has 32 bits on small computers, and must not wrap around there.
	i, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 0, strconv.IntSize)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("the number %s is too large for this machine", text)
	case err != nil:
		return 0, fmt.Errorf("expected %s, found %q", TypeInt.article(), text)
	}
	return int(i), nil
}

func parsePort(text string) (Port, error) {
	if err := leadingZero(text); err != nil {
		return 0, err
	}
	i, err := strconv.ParseInt(text, 0, 64)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange):
		return 0, fmt.Errorf("expected %s, found %q", TypePort.article(), text)
	case err != nil || i < 1 || i > 65535:
		return 0, fmt.Errorf("a port is a number from 1 to 65535, not %s", text)
	}
	return Port(i), nil
}

// leadingZero refuses what is octal for some readers and decimal for others.
func leadingZero(text string) error {
	digits := strings.TrimLeft(text, "+-")
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return fmt.Errorf("a number does not begin with 0, as %s does; it could be taken for an octal one", text)
	}
	return nil
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
	d, err := time.ParseDuration(text)
	seconds := d.Seconds()
	if f, notNumber := strconv.ParseFloat(text, 64); notNumber == nil {
		seconds, err = f, nil
		d = time.Duration(math.Round(f * float64(time.Second)))
	}
	switch {
	case err != nil || math.IsNaN(seconds):
		return 0, fmt.Errorf("expected %s, found %q", TypeDuration.article(), text)
	case math.Abs(seconds) > maxDuration.Seconds():
		return 0, fmt.Errorf("expected at most 100 years, found %q", text)
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
	switch {
	case err != nil || math.IsNaN(f):
		return 0, fmt.Errorf("expected %s, found %q", TypeSize.article(), text)
	case f < 0:
		return 0, fmt.Errorf("a size is not negative, as %s is", text)
	case f*factor >= 1<<53:
		return 0, fmt.Errorf("the size %s is too large", text)
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
	value, ok := magnitude(v)
	if !ok {
		return nil
	}
	if least, ok := o.limit(o.Min); ok && value < least {
		return fmt.Errorf("expected at least %s, found %v", o.withUnit(o.Min), v)
	}
	if most, ok := o.limit(o.Max); ok && value > most {
		return fmt.Errorf("expected at most %s, found %v", o.withUnit(o.Max), v)
	}
	return nil
}

// limit returns the value of Min or Max, if there is one.
func (o Option) limit(text string) (float64, bool) {
	if text == "" {
		return 0, false
	}
	bound, err := o.parse(Raw{Text: text})
	if err != nil {
		return 0, false
	}
	return magnitude(bound)
}

// withUnit says what a number means beside a duration that has its own unit.
func (o Option) withUnit(bound string) string {
	if _, err := strconv.ParseFloat(bound, 64); err == nil && o.Type == TypeDuration {
		return bound + " seconds"
	}
	return bound
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
