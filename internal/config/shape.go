package config

import (
	"reflect"
	"slices"

	"kozo"
	"kozo/internal/system"
)

// The blocks of a file that hold other blocks.
const (
	systemKey     = "system"
	overrideKey   = "overrideMainConfiguration"
	rolesKey      = "roles"
	transportsKey = "transports"
)

// shape has the options of every level of a file.
type shape struct {
	root      []kozo.Option
	node      []kozo.Option
	role      []kozo.Option // that every role has
	transport []kozo.Option // that every transport has
}

func shapes() shape {
	options := func(t reflect.Type) []kozo.Option {
		list, err := kozo.OptionsOf(t)
		if err != nil { // a mistake in the tags of the struct
			panic(err)
		}
		return list
	}
	return shape{
		root:      options(reflect.TypeFor[system.Settings]()),
		node:      options(reflect.TypeFor[system.NodeOptions]()),
		role:      options(reflect.TypeFor[system.RoleOptions]()),
		transport: options(reflect.TypeFor[system.TransportOptions]()),
	}
}

func has(options []kozo.Option, name string) bool {
	return slices.ContainsFunc(options, func(o kozo.Option) bool { return o.Name == name })
}

func names(options []kozo.Option) []string {
	var list []string
	for _, o := range options {
		list = append(list, o.Name)
	}
	return list
}

// zero is the value of an option that is empty.
func zero(o kozo.Option) any {
	v, err := kozo.Option{Name: o.Name, Type: o.Type}.DefaultValue()
	if err != nil { // an empty default is never parsed
		panic(err)
	}
	return v
}
