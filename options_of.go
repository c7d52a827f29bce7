package kozo

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// optionTypeOf maps the Go type of a field to the type of its option.
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

var optionTypes = [...]OptionType{
	TypeString, TypeBool, TypeInt, TypeNumber, TypeDuration, TypeSize, TypeList, TypePaths, TypePath, TypePort, TypeAny,
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
			Secret: f.Tag.Get("secret") == "true",
		}
		if words := f.Tag.Get("oneof"); words != "" {
			o.OneOf = strings.Split(words, ",")
		}
		if err := o.Check(); err != nil {
			return nil, fmt.Errorf("option %q of %v: %w", name, t, err)
		}
		if slices.ContainsFunc(options, func(other Option) bool { return other.Name == name }) {
			return nil, fmt.Errorf("option %q of %v: two fields have it", name, t)
		}
		options = append(options, o)
	}
	return options, nil
}

func optionTypeNames() []string {
	var names []string
	for _, t := range optionTypes {
		names = append(names, string(t))
	}
	return names
}

// Check says what is wrong with the description of an option.
func (o Option) Check() error {
	if err := CheckName(o.Name); err != nil {
		return err
	}
	if !slices.Contains(optionTypes[:], o.Type) {
		return fmt.Errorf("there is no type of options named %q; the types are %s", o.Type, strings.Join(optionTypeNames(), ", "))
	}
	for _, bound := range []string{o.Min, o.Max} {
		if _, ok := o.limit(bound); bound != "" && !ok {
			return fmt.Errorf("%q cannot be a bound of %s", bound, o.Type.article())
		}
	}
	if len(o.OneOf) > 0 && o.Type != TypeString {
		return fmt.Errorf("only a string can be one of some words, not %s", o.Type.article())
	}
	if _, err := o.DefaultValue(); err != nil {
		return fmt.Errorf("the default: %w", err)
	}
	return nil
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
	if o.Type == TypeAny {
		return plainDefault(o.Default)
	}
	return o.Parse(Raw{Text: o.Default})
}

// plainDefault reads a default that is written as JSON.
func plainDefault(text string) (any, error) {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, fmt.Errorf("%s is not JSON", text)
	}
	if f, ok := v.(float64); ok {
		if i, err := strconv.Atoi(text); err == nil && float64(i) == f {
			return i, nil
		}
	}
	return v, nil
}

func (o Option) zero() any {
	switch o.Type {
	case TypeAny:
		return nil
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
			return Errorf(o.Name, "expected %s, found the Go type %T", o.Type.article(), value)
		}
		field.Set(rv)
	}
	return nil
}
