// Package program finds the files that are types of roles and transports, knows
// how they are run, and asks them to describe themselves.
package program

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kozo/internal/extern/process"
	"kozo/internal/extern/protocol"
	"kozo/sdk/python"
)

// Program is a file that was found.
type Program struct {
	Path    string   // absolute
	Type    string   // by its name
	Imports []string // directories that come first when it looks for modules and programs; absolute
}

// TwoError says that there are two files for one type.
type TwoError struct {
	Type  string
	Paths [2]string
}

func (e *TwoError) Error() string {
	return fmt.Sprintf("there are two programs for the type %q: %s and %s; one of them needs another name", e.Type, e.Paths[0], e.Paths[1])
}

// Find looks in directories for the file of a type: TYPE or TYPE.*. A directory
// that does not exist has none. The error is a *[TwoError], or says that a
// directory cannot be read. What editors and interpreters leave behind does not
// count.
func Find(dirs []string, typ string) (path string, err error) {
	var found os.FileInfo
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("cannot look for types: %w", err)
		}
		for _, e := range entries {
			if !candidate(e.Name(), typ) {
				continue
			}
			p := filepath.Join(dir, e.Name())
			info, err := os.Stat(p)
			if err != nil || !info.Mode().IsRegular() {
				continue
			}
			if found != nil && !os.SameFile(found, info) {
				return "", &TwoError{Type: typ, Paths: [2]string{path, p}}
			}
			if found == nil {
				found, path = info, p
			}
		}
	}
	return path, nil
}

// Missing returns directories for people to read: it says which do not exist.
func Missing(dirs []string) []string {
	dirs = slices.Clone(dirs)
	for i, dir := range dirs {
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			dirs[i] += " (which does not exist)"
		}
	}
	return dirs
}

func candidate(name, typ string) bool {
	rest, ok := strings.CutPrefix(name, typ)
	return ok && (rest == "" || rest[0] == '.') && !leftover(name)
}

// leftover says whether a file is what an editor, an interpreter or a package
// manager leaves behind.
func leftover(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") ||
		slices.Contains([]string{".bak", ".orig", ".pyc", ".swp", ".tmp", ".dpkg-old", ".dpkg-dist"}, filepath.Ext(name))
}

// List returns the types of which there are files in directories, by name.
func List(dirs []string) []string {
	var types []string
	for _, dir := range dirs {
		entries, _ := os.ReadDir(dir) // Find complains
		for _, e := range entries {
			name := e.Name()
			if info, err := os.Stat(filepath.Join(dir, name)); err != nil || !info.Mode().IsRegular() || leftover(name) {
				continue
			}
			typ := strings.TrimSuffix(name, filepath.Ext(name))
			if typ != "" && !slices.Contains(types, typ) {
				types = append(types, typ)
			}
		}
	}
	slices.Sort(types)
	return types
}

// Command returns what to run a program with. The variables are added to its
// environment, as NAME=VALUE. The error says what is wrong with the file.
func (p *Program) Command(vars []string, args ...string) (process.Config, error) {
	argv, err := p.argv()
	if err != nil {
		return process.Config{}, err
	}
	env := append(os.Environ(), "PYTHONUNBUFFERED=1", "PYTHONUTF8=1", "KOZO_TYPE="+p.Type)
	for _, name := range []string{"PATH", "PYTHONPATH", "NODE_PATH"} {
		if dirs := slices.Clone(p.Imports); len(dirs) > 0 {
			if old := os.Getenv(name); old != "" {
				dirs = append(dirs, old)
			}
			env = append(env, name+"="+strings.Join(dirs, string(filepath.ListSeparator)))
		}
	}
	return process.Config{
		Argv: append(argv, args...), Dir: filepath.Dir(p.Path), Env: append(env, vars...),
	}, nil
}

// argv is how the file becomes a command line.
func (p *Program) argv() ([]string, error) {
	info, err := os.Stat(p.Path)
	if err != nil {
		return nil, err
	}
	if sdk, err := python.Has(p.Path); sdk || err != nil {
		if err != nil {
			return nil, err
		}
		return python.Command(p.Path)
	}
	if info.Mode().Perm()&0o111 == 0 {
		if filepath.Ext(p.Path) == ".py" {
			return nil, fmt.Errorf("%s has no line that begins with roleInfo = or transportInfo =, and is not executable either; "+
				"it needs such a dictionary at its end, or chmod +x if it speaks the protocol by itself", p.Path)
		}
		return nil, fmt.Errorf("%s is not executable; chmod +x %[1]s makes it a program", p.Path)
	}
	return []string{p.Path}, nil
}

// describeTimeout is how long a program may take to describe itself.
const describeTimeout = 10 * time.Second

// UndescribedError says why a program that runs does not describe itself. That
// is allowed.
type UndescribedError struct{ Reason string }

func (e *UndescribedError) Error() string { return e.Reason }

// Describe asks a program what it is. The error is an *[UndescribedError], or
// says what is wrong with the file or with its description.
func (p *Program) Describe(ctx context.Context) (*protocol.Description, error) {
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	cmd, err := p.Command(nil, "--describe")
	if err != nil {
		return nil, err
	}
	cmd.MaxLine = protocol.MaxDescription
	run, err := process.Start(cmd)
	if err != nil {
		return nil, err
	}
	defer run.Release()
	run.CloseInput()
	// Its end is the end of reading too.
	late := context.AfterFunc(ctx, run.Kill)
	text, err := readDescription(run)
	if !late() {
		<-run.Done()
		return nil, p.late()
	}
	if err != nil {
		run.Kill()
		<-run.Done()
		return nil, p.judge(err)
	}
	late = context.AfterFunc(ctx, run.Kill)
	<-run.Done()
	if !late() {
		return nil, p.late()
	}
	if err := run.End(); err != nil {
		reason := fmt.Sprintf("%s --describe %v", p.Path, err)
		words := run.LastWords()
		words = words[strings.LastIndexByte(words, '\n')+1:]
		if words != "" {
			reason += ": " + words
		}
		if sdk, _ := python.Has(p.Path); sdk {
			// It has promised a description, and the package has said what is wrong.
			if words != "" {
				reason = p.Path + ": " + words
			}
			return nil, errors.New(reason)
		}
		return nil, &UndescribedError{reason}
	}
	d, err := protocol.ParseDescription(text)
	if err != nil {
		return nil, p.judge(err)
	}
	return d, nil
}

// late says that a program has used up its time.
func (p *Program) late() error {
	if sdk, _ := python.Has(p.Path); sdk {
		return fmt.Errorf("%s: loading it has not ended within %v; nothing should happen there but definitions", p.Path, describeTimeout)
	}
	return fmt.Errorf("%s --describe has not ended within %v; it should print its description and exit, or exit with an error if it has none", p.Path, describeTimeout)
}

// judge tells what is no description from what is a wrong one.
func (p *Program) judge(err error) error {
	text := fmt.Sprintf("%s --describe: %v", p.Path, err)
	if errors.Is(err, protocol.ErrNoDescription) {
		return &UndescribedError{text}
	}
	return errors.New(text)
}

// readDescription reads all that a program prints. One that just begins to speak
// the protocol, since it does not know --describe, is noticed at its first line.
func readDescription(run *process.Process) ([]byte, error) {
	var text []byte
	for {
		line, err := run.ReadLine()
		if err == process.ErrTooLong || err == nil && len(text)+len(line)+1 > protocol.MaxDescription {
			return nil, fmt.Errorf("it prints more than %d bytes", protocol.MaxDescription)
		}
		if err != nil {
			return text, nil
		}
		if len(text) == 0 {
			if l, err := protocol.Parse(line); err == nil && l.Op != "" {
				return nil, fmt.Errorf("%w: a line of the protocol", protocol.ErrNoDescription)
			}
		}
		text = append(append(text, line...), '\n')
	}
}
