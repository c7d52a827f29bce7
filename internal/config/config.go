// Package config turns the YAML file that describes a network into its meaning,
// a [system.System], and tells people what is wrong with it: all of it in one
// run, each thing with its line and column, and what to do about it.
//
// The options that a file can have are not listed here. They are read from the
// structs of internal/system and from the types in a [kozo.Registry], which also
// make the reference for people ([Doc]) and the schema for editors ([Schema]).
//
// Except for [Load], which reads one file, nothing here does input or output,
// and everything may be used by several goroutines at once.
package config

import (
	"errors"

	"kozo"
	"kozo/internal/system"
)

// File is a configuration file without errors.
type File struct {
	Name     string         // as it was given to Load or Parse
	System   *system.System // what the file means
	Warnings []Problem      // what will work, but is probably not meant, in the order of the file
}

// Load reads and checks a file. If the file is wrong the error is a *[Problems];
// otherwise it is that of reading it.
func Load(path string, types *kozo.Registry) (*File, error) {
	return nil, errors.New("not yet")
}

// Parse checks the content of a file, on the terms of [Load]. The name is what
// the problems call the file.
func Parse(name string, data []byte, types *kozo.Registry) (*File, error) {
	return nil, errors.New("not yet")
}

// Schema returns a JSON Schema (draft 2020-12) of the file, for editors.
func Schema(types *kozo.Registry) ([]byte, error) {
	return nil, errors.New("not yet")
}

// Doc returns the reference of the file for people, in Markdown.
func Doc(types *kozo.Registry) []byte {
	return nil
}

// LocalizeOptions is what [Localize] needs from its caller.
type LocalizeOptions struct {
	// Dir is the directory under which everything that the nodes write is
	// moved, each node having a directory of its own in it.
	Dir string

	// Key makes a key pair for a node and returns the path of the private key
	// and the line of the public one.
	Key func(node kozo.NodeName) (privatePath, publicLine string, err error)

	// FreePort returns a TCP port of this machine that nobody uses, another one
	// at each call.
	FreePort func() (int, error)
}

// Localize rewrites a configuration so that all its nodes can run on one
// machine.
func Localize(name string, data []byte, types *kozo.Registry, opts LocalizeOptions) ([]byte, error) {
	return nil, errors.New("not yet")
}
