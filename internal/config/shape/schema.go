package shape

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"kozo"
)

// object is a JSON object; encoding/json writes its keys in order.
type object = map[string]any

// The texts in which durations and sizes can be written.
const (
	durationPattern = `^-?[0-9.]+(e-?[0-9]+)?$|^([0-9.]+(ns|us|µs|ms|s|m|h))+$`
	sizePattern     = `^[0-9.]+ ?(B|kB|KB|MB|GB|KiB|MiB|GiB)?$`
	namePattern     = `^[\p{L}\p{Nd}_][\p{L}\p{Nd}_.-]*$`
)

// Schema returns a JSON Schema (draft 2020-12) of the file, for editors. It is a
// little more lenient than the program, which also checks what a schema cannot
// say.
func Schema(types *kozo.Registry) ([]byte, error) {
	s := New()
	defs := object{}
	roles, transports := parts{"role", s.Role}, parts{"transport", s.Transport}
	for _, t := range types.Roles() {
		roles.add(defs, t.Name, t.Doc, t.Options, t.FreeForm != "")
	}
	for _, t := range types.Transports() {
		transports.add(defs, t.Name, t.Doc, t.Options, t.FreeForm != "")
	}
	var roleNames, transportNames []string
	for _, t := range types.Roles() {
		roleNames = append(roleNames, t.Name)
	}
	for _, t := range types.Transports() {
		transportNames = append(transportNames, t.Name)
	}
	defs["roles"] = roles.block("The roles of the node, by name.", roleNames)
	defs["transports"] = transports.block("The transports of the node, by name.", transportNames)
	defs["override"] = closed(s.Root, object{}, false)
	defs["override"].(object)["type"] = []string{"object", "null"}
	defs["override"].(object)["description"] = "Options at the root of the file that are different for this node."
	defs["node"] = closed(s.Node, object{
		OverrideKey: ref("override"), RolesKey: ref("roles"), TransportsKey: ref("transports"),
	}, true)

	root := closed(s.Root, object{SystemKey: object{
		"type":                 "object",
		"description":          "The nodes of the system, by name.",
		"minProperties":        1,
		"propertyNames":        object{"pattern": namePattern, "maxLength": kozo.MaxName},
		"additionalProperties": ref("node"),
	}}, true)
	root["required"] = []string{SystemKey}
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Kōzō configuration"
	root["description"] = "The description of a network of nodes."
	root["$defs"] = defs

	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(root); err != nil {
		return nil, fmt.Errorf("the schema cannot be written: %w", err)
	}
	return b.Bytes(), nil
}

func ref(name string) object { return object{"$ref": "#/$defs/" + name} }

// closed is a block with options, and with nothing else.
func closed(options []kozo.Option, more object, require bool) object {
	properties, required := object{}, []string{}
	for _, o := range options {
		properties[o.Name] = value(o)
		if o.Required {
			required = append(required, o.Name)
		}
	}
	for name, v := range more {
		properties[name] = v
	}
	out := object{"type": "object", "properties": properties, "additionalProperties": false}
	if require && len(required) > 0 {
		out["required"] = required
	}
	return out
}

// parts describes role blocks or transport blocks. A block is of the type that
// it says, or of the type that has its name.
type parts struct {
	what   string
	common []kozo.Option
}

func (p parts) add(defs object, name, doc string, options []kozo.Option, free bool) {
	all := append(append([]kozo.Option(nil), p.common...), options...)
	block := closed(all, object{}, true)
	block["description"] = doc
	if free {
		block["additionalProperties"] = true
	}
	if _, required := block["required"]; !required {
		block["type"] = []string{"object", "null"}
	}
	defs[p.what+"-"+name] = block
}

func (p parts) block(doc string, types []string) object {
	// The branches come before the choice by name, since a block with a type can
	// have any name.
	typed := object{"properties": object{"type": object{"enum": types}}}
	var branches []any
	for _, t := range types {
		branches = append(branches, object{
			"if":   object{"type": "object", "properties": object{"type": object{"const": t}}, "required": []string{"type"}},
			"then": ref(p.what + "-" + t),
		})
	}
	typed["allOf"] = branches
	byName := object{}
	for _, t := range types {
		byName[t] = object{
			"if":   object{"type": "object", "required": []string{"type"}},
			"then": typed,
			"else": ref(p.what + "-" + t),
		}
	}
	other := object{"type": "object", "required": []string{"type"}}
	for k, v := range typed {
		other[k] = v
	}
	return object{
		"type": []string{"object", "null"}, "description": doc,
		"propertyNames": object{"pattern": namePattern, "maxLength": kozo.MaxName},
		"properties":    byName, "additionalProperties": other,
	}
}

// value describes the value of an option.
func value(o kozo.Option) object {
	out := object{}
	words := []string{"string", "number", "boolean"} // what YAML makes of a word
	switch o.Type {
	case kozo.TypeBool:
		out["enum"] = []any{true, false, "yes", "no", "on", "off"}
	case kozo.TypeInt:
		out["type"] = "integer"
		limit(out, o)
	case kozo.TypeNumber:
		out["type"] = "number"
		limit(out, o)
	case kozo.TypePort:
		out["type"], out["minimum"], out["maximum"] = "integer", 1, 65535
	case kozo.TypeDuration:
		number := object{"type": "number"}
		limit(number, o)
		out["anyOf"] = []any{number, object{"type": "string", "pattern": durationPattern}}
	case kozo.TypeSize:
		number := object{"type": "number"}
		limit(number, o)
		out["anyOf"] = []any{number, object{"type": "string", "pattern": sizePattern}}
	case kozo.TypeList, kozo.TypePaths:
		out["anyOf"] = []any{object{"type": words}, object{"type": "array", "items": object{"type": words}}}
	case kozo.TypeAny:
	default:
		out["type"] = words
		if len(o.OneOf) > 0 {
			delete(out, "type")
			out["enum"] = o.OneOf
		}
	}
	if o.Doc != "" {
		out["description"] = strings.TrimSuffix(o.Doc, ".") + "."
	}
	if o.Default != "" {
		out["default"] = plain(o)
	}
	return out
}

// limit adds the bounds of a number, in seconds or bytes.
func limit(out object, o kozo.Option) {
	for key, text := range map[string]string{"minimum": o.Min, "maximum": o.Max} {
		if text == "" {
			continue
		}
		bound := kozo.Option{Name: o.Name, Type: o.Type, Default: text}
		out[key] = plain(bound)
	}
}

// plain is the default of an option as a JSON value.
func plain(o kozo.Option) any {
	v, err := o.DefaultValue()
	if err != nil { // the options were checked when their type was made
		panic(err)
	}
	switch v := v.(type) {
	case time.Duration:
		return json.Number(strconv.FormatFloat(v.Seconds(), 'f', -1, 64))
	case bool, int, float64, kozo.Port, kozo.Size:
		return v
	}
	if o.Type == kozo.TypeAny {
		return v
	}
	return o.Default
}
