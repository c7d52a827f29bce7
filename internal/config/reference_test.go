package config_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v4"

	"kozo"
	"kozo/internal/config"
	"kozo/standard"
)

// TestDoc fails when docs/config.md is not what the options say.
func TestDoc(t *testing.T) {
	doc := config.Doc(standard.Registry())
	compare(t, filepath.Join("..", "..", "docs", "config.md"), doc)

	_, rest, found := bytes.Cut(doc, []byte("```yaml\n"))
	example, _, closed := bytes.Cut(rest, []byte("```"))
	if !found || !closed {
		t.Fatal("there is no example in the reference")
	}
	if file := parse(t, example); len(file.Warnings) != 0 || len(file.System.Nodes) != 3 {
		t.Errorf("the example has %d nodes and the warnings %v", len(file.System.Nodes), file.Warnings)
	}
	if !bytes.Contains(doc, []byte(`config.yml:8:17: role "timer1" of node "clock": unknown option "tik" (did you mean "tick"?)`)) {
		t.Error("the mistake is not explained in the reference")
	}
	if bytes.ContainsAny(doc, "\x00\r\t") || bytes.Contains(doc, []byte("%!")) || bytes.Contains(doc, []byte("{MA")) {
		t.Error("the reference has marks that were not filled in")
	}
	for _, r := range standard.Registry().Roles() {
		for _, o := range r.Options {
			if !bytes.Contains(doc, []byte("| `"+o.Name+"` |")) {
				t.Errorf("%s of %s is not in the reference", o.Name, r.Name)
			}
		}
	}
}

// TestSchema checks files against the schema with a validator of its own: every
// good file passes, and those that are wrong in a way a schema can say do not.
func TestSchema(t *testing.T) {
	text, err := config.Schema(registry(t))
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(text, &s.root); err != nil {
		t.Fatal(err)
	}
	if s.root["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("$schema is %v", s.root["$schema"])
	}
	files, err := filepath.Glob(filepath.Join("testdata", "good", "*.yml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if fault := s.check(t, path); fault != "" {
			t.Errorf("%s: %s", path, fault)
		}
	}
	for _, name := range []string{
		"unknown-at-root", "unknown-in-node", "unknown-in-role", "unknown-in-transport", "unknown-in-override", "misplaced-type",
		"missing-system", "missing-options", "no-nodes", "wrong-types", "policy", "out-of-range", "unknown-role-type",
		"unknown-transport-type", "list-for-block", "names", "long-name", "no-value", "no-type", "no-heartbeat",
	} {
		if fault := s.check(t, filepath.Join("testdata", "bad", name+".yml")); fault == "" {
			t.Errorf("%s passes the schema", name)
		}
	}
}

// schema knows as much of JSON Schema as ours uses, and fails on what it does
// not know.
type schema struct{ root map[string]any }

func (s *schema) check(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := yaml.Load(data, &v); err != nil {
		t.Fatal(err)
	}
	plain, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(plain, &v); err != nil {
		t.Fatal(err)
	}
	return s.validate(t, s.root, v, "")
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
	}
	return "number"
}

// validate returns what is wrong with a value, or nothing.
func (s *schema) validate(t *testing.T, rules map[string]any, v any, at string) string {
	t.Helper()
	object, _ := v.(map[string]any)
	number, isNumber := v.(float64)
	each := func(list any, f func(map[string]any) bool) bool {
		for _, e := range list.([]any) {
			if f(e.(map[string]any)) {
				return true
			}
		}
		return false
	}
	fits := func(rules any) bool { return s.validate(t, rules.(map[string]any), v, at) == "" }
	bad := func(what string) string { return at + ": " + what }
	for key, rule := range rules {
		switch key {
		case "$schema", "$defs", "title", "description", "default", "then", "else":
		case "$ref":
			def, ok := s.root["$defs"].(map[string]any)[strings.TrimPrefix(rule.(string), "#/$defs/")].(map[string]any)
			if !ok {
				t.Fatalf("%s leads nowhere", rule)
			}
			if fault := s.validate(t, def, v, at); fault != "" {
				return fault
			}
		case "type":
			kinds, many := rule.([]any)
			if !many {
				kinds = []any{rule}
			}
			ok := false
			for _, k := range kinds {
				ok = ok || k == kindOf(v) || k == "number" && isNumber
			}
			if !ok {
				return bad("is a " + kindOf(v))
			}
		case "enum":
			ok := false
			for _, e := range rule.([]any) {
				ok = ok || e == v
			}
			if !ok {
				return bad("is none of the words")
			}
		case "const":
			if v != rule {
				return bad("is another value")
			}
		case "minimum":
			if isNumber && number < rule.(float64) {
				return bad("is too small")
			}
		case "maximum":
			if isNumber && number > rule.(float64) {
				return bad("is too large")
			}
		case "maxLength":
			if text, ok := v.(string); ok && len([]rune(text)) > int(rule.(float64)) {
				return bad("is too long")
			}
		case "minProperties":
			if object != nil && len(object) < int(rule.(float64)) {
				return bad("has too few entries")
			}
		case "pattern":
			if text, ok := v.(string); ok && !regexp.MustCompile(rule.(string)).MatchString(text) {
				return bad("does not look right")
			}
		case "required":
			for _, name := range rule.([]any) {
				if _, ok := object[name.(string)]; object != nil && !ok {
					return bad(name.(string) + " is missing")
				}
			}
		case "properties", "additionalProperties":
			known, _ := rules["properties"].(map[string]any)
			for name, e := range object {
				rule, isKnown := known[name]
				if isKnown != (key == "properties") {
					continue
				}
				if !isKnown {
					rule = rules["additionalProperties"]
				}
				if rule == false {
					return bad(name + " is unknown")
				}
				if fault := s.validate(t, rule.(map[string]any), e, at+"."+name); fault != "" {
					return fault
				}
			}
		case "propertyNames":
			for name := range object {
				if fault := s.validate(t, rule.(map[string]any), name, at+"."+name); fault != "" {
					return fault
				}
			}
		case "items":
			list, _ := v.([]any)
			for _, e := range list {
				if fault := s.validate(t, rule.(map[string]any), e, at+"[]"); fault != "" {
					return fault
				}
			}
		case "allOf":
			if each(rule, func(r map[string]any) bool { return !fits(r) }) {
				return bad("does not fit its type")
			}
		case "anyOf":
			if !each(rule, func(r map[string]any) bool { return fits(r) }) {
				return bad("fits nothing")
			}
		case "if":
			branch := "else"
			if fits(rule) {
				branch = "then"
			}
			if next, ok := rules[branch].(map[string]any); ok {
				if fault := s.validate(t, next, v, at); fault != "" {
					return fault
				}
			}
		default:
			t.Fatalf("the schema uses %q", key)
		}
	}
	return ""
}

// TestEmptyRegistry has nothing to offer, and still says what is wrong.
func TestEmptyRegistry(t *testing.T) {
	if _, err := config.Schema(kozo.NewRegistry()); err != nil {
		t.Error(err)
	}
	if _, err := config.Parse("config.yml", good(t, "example"), config.Types{Registry: kozo.NewRegistry()}); err == nil || !strings.Contains(err.Error(), `unknown type of role "timer"`) {
		t.Errorf("got %v", err)
	}
}
