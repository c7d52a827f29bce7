package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"kozo"
	"kozo/cli/internal/term"
	"kozo/internal/config"
	"kozo/internal/secure"
	"kozo/internal/system"
)

// typesHere are the types that a file can name if these of its nodes run on this
// machine; none means that it does not matter.
func (a *app) typesHere(nodes ...kozo.NodeName) config.Types {
	types := config.Types{Registry: a.types, Programs: a.programs}
	if len(nodes) > 0 {
		types.Here = func(n kozo.NodeName) bool { return slices.Contains(nodes, n) }
	}
	return types
}

// typesOfAll are the types that a file can name if all its nodes run here.
func (a *app) typesOfAll() config.Types {
	types := a.typesHere()
	types.Here = func(kozo.NodeName) bool { return true }
	return types
}

// load reads a configuration. Its failures have the exit code of a wrong one.
func (a *app) load(path string, types config.Types) (*config.File, error) {
	file, err := config.Load(path, types)
	if err == nil {
		return file, nil
	}
	if _, ok := errors.AsType[*config.Problems](err); ok {
		return nil, &failure{code: ExitConfig, err: err}
	}
	f := misconfigured("%w", err)
	switch {
	case isDir(path):
		f = misconfigured("cannot read the configuration: %s is a directory", path)
		if inside := filepath.Join(path, "config.yml"); isFile(inside) {
			return nil, f.hint("there is %s", inside)
		}
	case errors.Is(err, os.ErrNotExist):
		if other := defaultConfig(); other != "" {
			return nil, f.hint("there is %s", other)
		}
		return nil, f.hint("%s makes one", a.again("init", "DIR", "NODE…"))
	case errors.Is(err, os.ErrPermission):
		return nil, f.hint("check who owns it and its directories")
	}
	return nil, f
}

// defaultConfig returns the configuration that is probably meant where none is
// named, or nothing.
func defaultConfig() string {
	for _, path := range []string{"config.yml", "/etc/kozo/config.yml"} {
		if isFile(path) {
			return path
		}
	}
	return ""
}

// guessConfig returns the configuration to use when the command line names none,
// and says which one it is.
func (a *app) guessConfig(command string) (string, error) {
	path := defaultConfig()
	if path == "" {
		return "", misused("which configuration; there is no config.yml here and no /etc/kozo/config.yml").
			hint("usage: kozo %s", command)
	}
	a.say("using %s", path)
	return path, nil
}

// nodesIn returns the names of the nodes of a file, or none if it cannot be
// read.
func (a *app) nodesIn(path string) []kozo.NodeName {
	file, err := config.Load(path, config.Types{Registry: a.types})
	if err != nil {
		return nil
	}
	return namesOf(file.System)
}

func namesOf(s *system.System) []kozo.NodeName {
	var names []kozo.NodeName
	for _, n := range s.Nodes {
		names = append(names, n.Name)
	}
	return names
}

// nodeOf returns the node of a file with a name.
func nodeOf(file *config.File, name string) (*system.Node, error) {
	if n := file.System.Node(kozo.NodeName(name)); n != nil {
		return n, nil
	}
	f := misconfigured("there is no node %q in %s", name, file.Name)
	var names []string
	for _, n := range file.System.Nodes {
		names = append(names, string(n.Name))
	}
	if near := nearest(name, names); near != "" {
		f = f.hint("did you mean %s", near)
	}
	return nil, f.hint("its nodes are %s", term.List(names))
}

// keyOf loads the private key of a node and checks that it belongs to it. The
// error does not name the node.
func keyOf(n *system.Node) (*secure.Key, *failure) {
	key, err := secure.LoadKey(n.PrivateKey)
	if err != nil {
		return nil, misconfigured("%w", err)
	}
	want, err := secure.ParsePublicKey(n.PublicKey)
	if err != nil {
		return nil, misconfigured("publicKey: %w", err)
	}
	if key.Public() != want {
		return nil, misconfigured("private key %s does not belong to the publicKey of the file", n.PrivateKey).
			hint("either this machine is another node, or the file should say:\n      %s", publicKeyLine(key))
	}
	return key, nil
}

// strayKeys are private keys on this machine, where the file says, that belong to
// no node of the file: one was made anew, or the public key has a mistake. (That
// of another node is none, since all may keep their keys in the same place.)
func strayKeys(file *config.File) []config.Problem {
	known := map[secure.PublicKey]bool{}
	for _, n := range file.System.Nodes {
		if key, err := secure.ParsePublicKey(n.PublicKey); err == nil {
			known[key] = true
		}
	}
	var stray []config.Problem
	for _, n := range file.System.Nodes {
		if key, err := secure.LoadKey(n.PrivateKey); err == nil && !known[key.Public()] {
			stray = append(stray, config.Problem{
				File: file.Name, Path: fmt.Sprintf("node %q", n.Name),
				Message: fmt.Sprintf("the private key %s, which is here, does not belong to the publicKey", n.PrivateKey),
				Hint:    "with this key the file should say " + publicKeyLine(key),
			})
		}
	}
	return stray
}

// publicKeyLine is how a public key stands in the configuration.
func publicKeyLine(key *secure.Key) string {
	return fmt.Sprintf("publicKey: %s", key.Public().Line())
}
