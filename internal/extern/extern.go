// Package extern has the types of roles and transports that are programs: files
// in directories, in any language, that are run and spoken to in lines of JSON.
// docs/protocol-programs.md says what is spoken. The parts are in the packages
// below: program finds and describes a file, process runs one, protocol has the
// lines, and talk a whole conversation.
package extern

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"kozo"
	"kozo/internal/extern/program"
	"kozo/internal/extern/protocol"
)

// Dirs are the directories of the environment, searched after those of the
// configuration.
type Dirs struct{ Roles, Transports, Imports []string }

// Set finds types, and remembers what they say about themselves: a file is asked
// once. Its methods may be called by several goroutines at once.
type Set struct {
	// Grease has programs told on purpose what they are to ignore, and asked for
	// heartbeats sooner than they said: for trials.
	Grease bool

	dirs Dirs

	mu     sync.Mutex
	asked  map[string]*answer // by path and directories of modules
	askers map[string]*asker  // of transports; likewise

	roles      map[string]kozo.RoleType
	transports map[string]kozo.TransportType
}

type answer struct {
	once sync.Once
	d    *protocol.Description
	err  error
}

// New returns a set that knows nothing yet.
func New(dirs Dirs) *Set {
	return &Set{
		dirs: dirs, asked: map[string]*answer{}, askers: map[string]*asker{},
		roles: map[string]kozo.RoleType{}, transports: map[string]kozo.TransportType{},
	}
}

// Roles returns the types of roles that were found so far, by name.
func (s *Set) Roles() []kozo.RoleType {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.roles), func(a, b kozo.RoleType) int { return strings.Compare(a.Name, b.Name) })
}

// RoleNames returns the names of the types of roles for which there are files in
// some directories or in those of the environment. None of them is run.
func (s *Set) RoleNames(search []string) []string {
	return program.List(slices.Concat(search, s.dirs.Roles))
}

// Role returns the type of role for which there is a program in some directories
// or in those of the environment, and where it has looked, for people. If there is
// none the name of the type is empty. The error says what is wrong with the file.
func (s *Set) Role(name string, search, imports []string) (t kozo.RoleType, searched []string, err error) {
	dirs := slices.Concat(search, s.dirs.Roles)
	searched = program.Missing(dirs)
	f, err := s.find(name, protocol.KindRole, dirs, imports)
	if f == nil || err != nil {
		return t, searched, err
	}
	t = f.roleType()
	s.mu.Lock()
	s.roles[name] = t
	s.mu.Unlock()
	return t, searched, nil
}

// found is a program that was found and described.
type found struct {
	*program.Program
	*protocol.Description
	freeForm string // why its options are not described
	grease   bool
}

// find finds a program and asks it what it is. There may be none.
func (s *Set) find(name, kind string, search, imports []string) (*found, error) {
	path, err := program.Find(search, name)
	if path == "" || err != nil {
		return nil, err
	}
	// It is run in another directory than this one.
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	return s.file(path, name, kind, imports)
}

// RoleFile returns the type of role that a file is, wherever it stands.
func (s *Set) RoleFile(path string) (kozo.RoleType, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return kozo.RoleType{}, err
	}
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	f, err := s.file(path, name, protocol.KindRole, nil)
	if err != nil {
		return kozo.RoleType{}, err
	}
	return f.roleType(), nil
}

// Describe asks a file what it is. The error is a *[program.UndescribedError], or
// says what is wrong.
func (s *Set) Describe(path string) (*protocol.Description, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	p, err := s.program(path, name, nil)
	if err != nil {
		return nil, err
	}
	return s.describe(p)
}

func (s *Set) program(path, name string, imports []string) (*program.Program, error) {
	p := &program.Program{Path: path, Type: name}
	for _, dir := range slices.Concat(imports, s.dirs.Imports) {
		dir, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		p.Imports = append(p.Imports, dir)
	}
	return p, nil
}

// file asks a file what it is.
func (s *Set) file(path, name, kind string, imports []string) (*found, error) {
	p, err := s.program(path, name, imports)
	if err != nil {
		return nil, err
	}
	d, err := s.describe(p)
	if u, ok := errors.AsType[*program.UndescribedError](err); ok {
		return &found{p, &protocol.Description{Kind: kind, FreeForm: true}, u.Reason, s.Grease}, nil
	}
	switch {
	case err != nil:
		return nil, err
	case d.Kind != kind:
		return nil, fmt.Errorf("%s describes itself as a %s, and was found among the %ss", path, d.Kind, kind)
	case d.FreeForm:
		return &found{p, d, fmt.Sprintf("%s --describe says nothing about options", path), s.Grease}, nil
	}
	return &found{p, d, "", s.Grease}, nil
}

// describe returns what a program says about itself.
func (s *Set) describe(p *program.Program) (*protocol.Description, error) {
	key := keyOf(p)
	s.mu.Lock()
	a := s.asked[key]
	if a == nil {
		a = &answer{}
		s.asked[key] = a
	}
	s.mu.Unlock()
	a.once.Do(func() { a.d, a.err = p.Describe(context.Background()) })
	return a.d, a.err
}

func keyOf(p *program.Program) string {
	return strings.Join(append([]string{p.Path}, p.Imports...), "\x00")
}
