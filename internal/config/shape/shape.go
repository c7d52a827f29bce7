// Package shape says which options can stand where in a configuration file, as
// values for the checker, as a JSON Schema for editors and as a reference for
// people. All of it comes from the structs of internal/system and from the types
// in a registry.
package shape

import (
	"reflect"
	"slices"
	"strings"

	"kozo"
	"kozo/internal/system"
)

// The blocks of a file that hold other blocks.
const (
	SystemKey     = "system"
	OverrideKey   = "overrideMainConfiguration"
	RolesKey      = "roles"
	TransportsKey = "transports"
)

// Shape has the options of every level of a file.
type Shape struct {
	Root      []kozo.Option
	Node      []kozo.Option
	Role      []kozo.Option // that every role has
	Transport []kozo.Option // that every transport has
}

// New returns the shape of a file.
func New() Shape {
	options := func(t reflect.Type) []kozo.Option {
		list, err := kozo.OptionsOf(t)
		if err != nil { // a mistake in the tags of the struct
			panic(err)
		}
		return list
	}
	return Shape{
		Root:      options(reflect.TypeFor[system.Settings]()),
		Node:      options(reflect.TypeFor[system.NodeOptions]()),
		Role:      options(reflect.TypeFor[system.RoleOptions]()),
		Transport: options(reflect.TypeFor[system.TransportOptions]()),
	}
}

// Has says whether an option with a name is among some.
func Has(options []kozo.Option, name string) bool {
	return slices.ContainsFunc(options, func(o kozo.Option) bool { return o.Name == name })
}

// Names returns the names of options.
func Names(options []kozo.Option) []string {
	var list []string
	for _, o := range options {
		list = append(list, o.Name)
	}
	return list
}

// Words says what an option takes: "a whole number".
func Words(o kozo.Option) string {
	if len(o.OneOf) > 0 {
		return "one of " + strings.Join(o.OneOf, ", ")
	}
	switch o.Type {
	case kozo.TypeString:
		return "a text"
	case kozo.TypeBool:
		return "true or false"
	case kozo.TypeInt:
		return "a whole number"
	case kozo.TypeNumber:
		return "a number"
	case kozo.TypeDuration:
		return "a number of seconds or a duration like 500ms"
	case kozo.TypeSize:
		return "a number of bytes or a size like 4MiB"
	case kozo.TypeList:
		return "a list, or words with commas between them"
	case kozo.TypePaths:
		return "a list of directories, or directories with colons between them"
	case kozo.TypePath:
		return "a path"
	case kozo.TypePort:
		return "a port number"
	case kozo.TypeAny:
		return "a value"
	}
	return string(o.Type)
}
