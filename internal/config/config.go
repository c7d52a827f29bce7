// Package config turns the YAML file that describes a network into its meaning,
// a [system.System], and tells people what is wrong with it: all of it in one
// run, each thing with its line and column, and what to do about it.
//
// The options that a file can have are not listed here. They are read from the
// structs of internal/system and from the types in a [kozo.Registry], which also
// make the reference for people ([Doc]) and the schema for editors ([Schema]).
//
// Except for [Load], which reads one file, and for what [Types] find out about
// programs, nothing here does input or output, and everything may be used by
// several goroutines at once.
package config

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"kozo"
	"kozo/internal/config/shape"
	"kozo/internal/config/tree"
	"kozo/internal/system"
)

// MaxFile is the size of the largest file, in bytes.
const MaxFile = 1 << 20

// MaxNodes is how many nodes a system can have.
const MaxNodes = 10_000

// Types are the types of roles and transports that a file can name.
type Types struct {
	*kozo.Registry          // those that the program has itself
	Programs       Programs // those that are programs; nil means none

	// Here says which nodes run on this machine: what their roles and transports
	// are must be known. The files of others may be on theirs alone. Nil means
	// that it does not matter which one this is.
	Here func(kozo.NodeName) bool
}

// Programs finds the types that are programs in directories.
type Programs interface {
	// Role returns the type of role for which there is a program in one of some
	// directories, and all directories in which it has looked. If there is none
	// the name of the type is empty. The error says what is wrong with the file
	// that there is. imports are the directories from which it loads modules.
	Role(name string, search, imports []string) (t kozo.RoleType, searched []string, err error)

	// Transport does the same for a type of transport.
	Transport(name string, search, imports []string) (t kozo.TransportType, searched []string, err error)
}

// File is a configuration file without errors.
type File struct {
	Name     string         // as it was given to Load or Parse
	System   *system.System // what the file means
	Warnings []Problem      // what will work, but is probably not meant, in the order of the file
}

// Load reads and checks a file. Relative paths in it start in its directory. If
// the file is wrong the error is a *[Problems]; otherwise it is that of reading
// it. No more than [MaxFile] bytes are read.
func Load(path string, types Types) (*File, error) {
	data, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	file, err := Parse(path, data, types)
	if err != nil {
		return nil, err
	}
	if err := anchor(file.System, filepath.Dir(path)); err != nil {
		return nil, err
	}
	return file, nil
}

// read returns at most one byte more than a file can have.
func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, MaxFile+1))
}

// Parse checks the content of a file, on the terms of [Load], and leaves its
// paths as they are. The name is what the problems call the file; programs are
// looked for from its directory on.
func Parse(name string, data []byte, types Types) (*File, error) {
	c := &checker{
		source: source{name: name}, types: types, shape: shape.New(),
		wrong: map[*tree.Node]bool{}, roles: map[*system.Role]*block{},
		own: map[kozo.NodeName]*block{}, written: map[any]kozo.Values{},
	}
	if len(data) > MaxFile {
		c.fail(tree.Pos{}, "", "is this the file you meant?", "the file has more than %v; a configuration can have at most that", kozo.Size(MaxFile))
		return nil, c.problems()
	}
	c.lines = tree.Lines(data)
	root, faults := tree.Parse(data)
	for _, f := range faults {
		c.fail(f.Pos, pathOf(f.Keys), f.Hint, "%s", f.Message)
	}
	if root == nil {
		return nil, c.problems()
	}
	sys := c.file(root)
	if len(c.found) > 0 {
		return nil, c.problems()
	}
	c.unheard(sys)
	c.strange(sys)
	return &File{Name: name, System: sys, Warnings: arrange(c.warnings)}, nil
}

// Schema returns a JSON Schema (draft 2020-12) of the file, for editors.
func Schema(types *kozo.Registry) ([]byte, error) { return shape.Schema(types) }

// Doc returns the reference of the file for people, in Markdown.
func Doc(types *kozo.Registry) []byte {
	r := shape.Reference{MaxFile: MaxFile, MaxNodes: MaxNodes}
	r.Mistake = func(file string) string {
		if _, err := Parse("config.yml", []byte(file), Types{Registry: types}); err != nil {
			return err.Error()
		}
		return ""
	}
	return r.Markdown(types)
}
