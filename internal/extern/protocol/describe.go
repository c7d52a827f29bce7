package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"kozo"
)

// MaxDescription is the longest description, in bytes.
const MaxDescription = 256 << 10

// maxOptions is how many options a type can have.
const maxOptions = 1000

// Description is what a program says about its type.
type Description struct {
	Kind    string // KindRole or KindTransport
	Name    string
	Version string
	Author  string
	Doc     string

	Options  []kozo.Option // in the order of the description
	FreeForm bool          // the options are not described: any are taken

	NeedsStorage bool
	Filters      []Template // of a role
	HasFilters   bool
	Publishes    []Template
	HasPublishes bool

	CanConnect bool // of a transport: it wants to be asked
	Secure     bool // of a transport: it encrypts by itself
}

// ErrNoDescription is the error of an output that is no description at all, but
// something else.
var ErrNoDescription = errors.New("it printed something that is not a description")

// ParseDescription reads what a program printed for --describe. The error says
// in plain words what is wrong with it.
func ParseDescription(text []byte) (*Description, error) {
	text = bytes.TrimSpace(text)
	var head struct {
		Op       string          `json:"op"`
		Protocol json.RawMessage `json:"protocol"`
	}
	if len(text) == 0 {
		return nil, fmt.Errorf("%w: nothing", ErrNoDescription)
	}
	if err := json.Unmarshal(text, &head); err != nil || text[0] != '{' {
		if text[0] == '{' && bytes.Contains(text, []byte(`"kind"`)) {
			return nil, fmt.Errorf("the description is not right: %w", explain(err))
		}
		return nil, ErrNoDescription
	}
	switch {
	case head.Op != "":
		return nil, fmt.Errorf("%w: a line of the protocol", ErrNoDescription)
	case len(head.Protocol) == 0:
		return nil, fmt.Errorf(`%w: an object without "protocol":%d`, ErrNoDescription, Version)
	case string(head.Protocol) != strconv.Itoa(Version):
		return nil, fmt.Errorf("it is described for version %s of the protocol, and this kozo speaks version %d", head.Protocol, Version)
	case !utf8.Valid(text):
		return nil, errors.New("the description is not valid UTF-8")
	}
	var in struct {
		Kind         string      `json:"kind"`
		Name         string      `json:"name"`
		Version      string      `json:"version"`
		Author       string      `json:"author"`
		Description  string      `json:"description"`
		Options      *options    `json:"options"`
		NeedsStorage bool        `json:"needsStorage"`
		Filters      *[]Template `json:"filters"`
		Publishes    *[]Template `json:"publishes"`
		CanConnect   bool        `json:"canConnect"`
		Secure       bool        `json:"secure"`
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("the description is not right: %w", explain(err))
	}
	d := &Description{
		Kind: in.Kind, Name: in.Name, Version: in.Version, Author: in.Author, Doc: in.Description,
		NeedsStorage: in.NeedsStorage, CanConnect: in.CanConnect, Secure: in.Secure,
		FreeForm: in.Options == nil,
	}
	if d.Kind != KindRole && d.Kind != KindTransport {
		return nil, fmt.Errorf(`the description says "kind":%q; it is "role" or "transport"`, d.Kind)
	}
	if in.Options != nil {
		d.Options = *in.Options
	}
	if in.Filters != nil {
		d.Filters, d.HasFilters = *in.Filters, true
	}
	if in.Publishes != nil {
		d.Publishes, d.HasPublishes = *in.Publishes, true
	}
	for _, t := range slices.Concat(d.Filters, d.Publishes) {
		if err := t.check(d); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// options are read in their order.
type options []kozo.Option

func (o *options) UnmarshalJSON(text []byte) error {
	*o = options{}
	dec := json.NewDecoder(bytes.NewReader(text))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errors.New(`"options" should be an object with a member for each option`)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return err
		}
		name, _ := key.(string) // a key is one
		option, err := parseOption(name, raw)
		if err != nil {
			return fmt.Errorf("option %q: %w", name, err)
		}
		if slices.ContainsFunc(*o, func(other kozo.Option) bool { return other.Name == name }) {
			return fmt.Errorf("option %q is described twice", name)
		}
		if *o = append(*o, option); len(*o) > maxOptions {
			return fmt.Errorf("more than %d options are described", maxOptions)
		}
	}
	return nil
}

func parseOption(name string, text []byte) (kozo.Option, error) {
	var in struct {
		Type        kozo.OptionType `json:"type"`
		Default     json.RawMessage `json:"default"`
		Description string          `json:"description"`
		Min         json.RawMessage `json:"min"`
		Max         json.RawMessage `json:"max"`
		OneOf       []string        `json:"oneOf"`
		Secret      bool            `json:"secret"`
	}
	if err := json.Unmarshal(text, &in); err != nil {
		return kozo.Option{}, explain(err)
	}
	// A RawMessage that is null is nil, like one that is absent.
	var present map[string]json.RawMessage
	_ = json.Unmarshal(text, &present) // it was an object already
	_, optional := present["default"]
	if string(in.Default) == "null" {
		in.Default = nil
	}
	o := kozo.Option{Name: name, Type: in.Type, Required: !optional, Doc: in.Description, OneOf: in.OneOf, Secret: in.Secret}
	if o.Type == "" {
		o.Type = typeOf(in.Default)
		if len(o.OneOf) > 0 {
			o.Type = kozo.TypeString
		}
	}
	var err error
	if o.Default, err = written(o.Type, in.Default); err != nil {
		return o, fmt.Errorf("the default: %w", err)
	}
	if o.Min, err = written("", in.Min); err == nil {
		o.Max, err = written("", in.Max)
	}
	if err != nil {
		return o, err
	}
	return o, o.Check()
}

// typeOf is the type of an option that has a default and no type.
func typeOf(value json.RawMessage) kozo.OptionType {
	var v any
	dec := json.NewDecoder(bytes.NewReader(value))
	dec.UseNumber()
	if len(value) == 0 || dec.Decode(&v) != nil {
		return kozo.TypeAny
	}
	switch v := v.(type) {
	case string:
		return kozo.TypeString
	case bool:
		return kozo.TypeBool
	case json.Number:
		if _, err := strconv.Atoi(v.String()); err == nil {
			return kozo.TypeInt
		}
		return kozo.TypeNumber
	case []any:
		for _, e := range v {
			if s, ok := e.(string); !ok || strings.Contains(s, ",") || strings.TrimSpace(s) != s || s == "" {
				return kozo.TypeAny
			}
		}
		return kozo.TypeList
	}
	return kozo.TypeAny
}

// written is a value as it would be written in the configuration.
func written(t kozo.OptionType, value json.RawMessage) (string, error) {
	if len(value) == 0 || string(value) == "null" {
		return "", nil
	}
	if t == kozo.TypeAny {
		return string(value), nil
	}
	sep := ""
	switch t {
	case kozo.TypeList:
		sep = ","
	case kozo.TypePaths:
		sep = ":"
	}
	if sep != "" && value[0] == '[' {
		var list []string
		if err := json.Unmarshal(value, &list); err != nil {
			return "", errors.New("it should be a list of strings")
		}
		for _, s := range list {
			if strings.Contains(s, sep) {
				return "", fmt.Errorf("%q contains %q, which stands between the words of a list", s, sep)
			}
		}
		return strings.Join(list, sep), nil
	}
	switch value[0] {
	case '"':
		var s string
		if err := json.Unmarshal(value, &s); err != nil {
			return "", err
		}
		return s, nil
	case '[', '{':
		return "", fmt.Errorf("%s is not a plain value", short(string(value)))
	}
	return string(value), nil
}

// Template is a filter in which "$NAME" stands for the value of an option.
type Template kozo.Filter

// UnmarshalJSON reads a filter.
func (t *Template) UnmarshalJSON(text []byte) error {
	// The kind of a kozo.Filter is one of a few words, so it cannot stand for
	// an option.
	var f Filter
	if err := f.UnmarshalJSON(text); err != nil {
		return err
	}
	*t = Template(f)
	return nil
}

// fields are the members that an option can stand for.
func (t *Template) fields() []*string {
	return []*string{&t.Type, &t.Channel, (*string)(&t.Role), (*string)(&t.Node)}
}

func (t Template) check(d *Description) error {
	for _, field := range t.fields() {
		name, ok := strings.CutPrefix(*field, "$")
		if !ok || d.FreeForm {
			continue
		}
		i := slices.IndexFunc(d.Options, func(o kozo.Option) bool { return o.Name == name })
		if i < 0 {
			return fmt.Errorf("a filter has %q, and there is no option %q", *field, name)
		}
		switch typ := d.Options[i].Type; typ {
		case kozo.TypeString, kozo.TypeInt, kozo.TypePort, kozo.TypeBool, kozo.TypeAny:
		default:
			return fmt.Errorf("a filter has %q, and an option of type %s is not a word", *field, typ)
		}
	}
	return nil
}

// Fill returns the filters for the values of options.
func Fill(templates []Template, values kozo.Values) []kozo.Filter {
	list := make([]kozo.Filter, len(templates))
	for i, t := range templates {
		for _, field := range t.fields() {
			name, ok := strings.CutPrefix(*field, "$")
			if !ok {
				continue
			}
			*field = ""
			if v := values[name]; v != nil {
				*field = fmt.Sprint(v)
			}
		}
		list[i] = kozo.Filter(t)
	}
	return list
}
