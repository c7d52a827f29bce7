package kozotest

import (
	"slices"
	"testing"
)

// Try runs one check of a transport.
func Try(t testing.TB, o TransportTest, name string) {
	o.setDefaults()
	all := checks()
	i := slices.IndexFunc(all, func(c check) bool { return c.name == name })
	o.try(t, all[i])
}

// Checks returns the names of all checks.
func Checks() []string {
	var names []string
	for _, c := range checks() {
		names = append(names, c.name)
	}
	return names
}
