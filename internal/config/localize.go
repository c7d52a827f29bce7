package config

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"kozo"
	"kozo/internal/config/shape"
	"kozo/internal/config/tree"
	"kozo/internal/system"
)

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
// machine, and returns what is a configuration without errors again, with its
// comments and its order:
//
//   - every node gets a new key pair;
//   - every option of type path moves to DIR/NODE/, under its last name;
//   - every option of type port of a transport gets a free port, and with it an
//     option "address" that is not empty becomes 127.0.0.1;
//   - an option of type port of a role gets a free port if another one has it;
//   - an option "bindAddress" becomes 127.0.0.1;
//   - directories of programs that start in that of the file, which is where the
//     name says, become absolute.
//
// Addresses that a transport would not take stay as they were. Aliases and merge
// keys are written out, so that nodes which share a block can differ. If the file
// is wrong the error is a *[Problems].
func Localize(name string, data []byte, types Types, opts LocalizeOptions) ([]byte, error) {
	file, err := Parse(name, data, types)
	if err != nil {
		return nil, err
	}
	draft, err := tree.NewDraft(data)
	if err != nil {
		return nil, err
	}
	l := localizer{dir: filepath.Dir(name), opts: opts, draft: draft, ports: map[kozo.Port]bool{}}
	if err := l.paths(nil, file.System.Settings); err != nil {
		return nil, err
	}
	for _, n := range file.System.Nodes {
		if err := l.node(n); err != nil {
			return nil, err
		}
	}
	out, err := draft.Bytes()
	if err != nil {
		return nil, err
	}
	if _, err := Parse(name, out, types); err != nil {
		return nil, fmt.Errorf("%s cannot be changed to run on one machine: %w", name, err)
	}
	return out, nil
}

type localizer struct {
	dir   string // of the file
	opts  LocalizeOptions
	draft *tree.Draft
	ports map[kozo.Port]bool // in use on any node
}

const loopback = "127.0.0.1"

func (l *localizer) node(n *system.Node) error {
	private, public, err := l.opts.Key(n.Name)
	if err != nil {
		return fmt.Errorf("a key for node %q: %w", n.Name, err)
	}
	at := []string{shape.SystemKey, string(n.Name)}
	l.set(at, kozo.Values{"privateKey": private, "publicKey": public})
	if err := l.paths(append(at, shape.OverrideKey), n.Settings); err != nil {
		return err
	}

	files := files{filepath.Join(l.opts.Dir, string(n.Name)), map[string]bool{}}
	if n.RoleStorage != "" {
		l.set(at, kozo.Values{"roleStorage": files.move(n.RoleStorage, "storage")})
	}
	for _, t := range n.Transports {
		if err := l.transport(slices.Concat(at, []string{shape.TransportsKey, t.Name}), t, files); err != nil {
			return err
		}
	}
	for _, r := range n.Roles {
		if err := l.role(slices.Concat(at, []string{shape.RolesKey, string(r.Name)}), r, files); err != nil {
			return err
		}
	}
	return nil
}

// paths makes directories absolute, in the place where they stand.
func (l *localizer) paths(at []string, s system.Settings) error {
	for name, dirs := range map[string]kozo.Paths{"rolePath": s.RolePath, "transportPath": s.TransportPath, "importPath": s.ImportPath} {
		keys := slices.Concat(at, []string{name})
		if !l.draft.Has(keys...) || !slices.ContainsFunc(dirs, func(d string) bool { return !filepath.IsAbs(d) }) {
			continue
		}
		dir, err := filepath.Abs(l.dir)
		if err != nil {
			return err
		}
		l.draft.Set(strings.Join(fromAll(dir, dirs), string(filepath.ListSeparator)), keys...)
	}
	return nil
}

// set writes values into the block under some keys.
func (l *localizer) set(keys []string, values kozo.Values) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		l.draft.Set(values[name], slices.Concat(keys, []string{name})...)
	}
}

func (l *localizer) transport(keys []string, t *system.Transport, files files) error {
	changed, addresses := kozo.Values{}, kozo.Values{}
	for _, o := range t.Options {
		switch v := t.Values[o.Name].(type) {
		case kozo.Path:
			if v != "" {
				changed[o.Name] = files.move(string(v), t.Name)
			}
		case kozo.Port:
			if v == 0 {
				continue
			}
			port, err := l.freePort()
			if err != nil {
				return err
			}
			changed[o.Name] = port
		}
	}
	if shape.Has(t.Options, "port") {
		for _, o := range t.Options {
			switch v := t.Values[o.Name].(type) {
			case kozo.List:
				if o.Name == "address" && len(v) > 0 {
					addresses[o.Name] = loopback
				}
			case string:
				if o.Name == "address" && v != "" || o.Name == "bindAddress" {
					addresses[o.Name] = loopback
				}
			}
		}
	}
	if accepts(t, addresses) {
		maps.Copy(changed, addresses)
	}
	l.set(keys, changed)
	return nil
}

// accepts says whether a transport takes other addresses.
func accepts(t *system.Transport, addresses kozo.Values) bool {
	values := maps.Clone(t.Values)
	for _, o := range t.Options {
		text, changed := addresses[o.Name].(string)
		if !changed {
			continue
		}
		v, err := o.Parse(kozo.Raw{Text: text})
		if err != nil {
			return false
		}
		values[o.Name] = v
	}
	_, err := t.New(values)
	return err == nil
}

func (l *localizer) role(keys []string, r *system.Role, files files) error {
	changed := kozo.Values{}
	for _, o := range r.Options {
		switch v := r.Values[o.Name].(type) {
		case kozo.Path:
			if v != "" {
				changed[o.Name] = files.move(string(v), string(r.Name))
			}
		case kozo.Port:
			if v == 0 {
				continue
			}
			if !l.ports[v] {
				l.ports[v] = true
				continue
			}
			port, err := l.freePort()
			if err != nil {
				return err
			}
			changed[o.Name] = port
		case string:
			if o.Name == "bindAddress" && v != "localhost" && v != loopback {
				changed[o.Name] = loopback
			}
		}
	}
	l.set(keys, changed)
	return nil
}

// freePort returns a port that nothing else has got.
func (l *localizer) freePort() (int, error) {
	for range 100 {
		port, err := l.opts.FreePort()
		if err != nil {
			return 0, fmt.Errorf("a free port: %w", err)
		}
		if !l.ports[kozo.Port(port)] {
			l.ports[kozo.Port(port)] = true
			return port, nil
		}
	}
	return 0, fmt.Errorf("a free port: the same ones are offered again and again")
}

// files are the files of a node, all in one directory.
type files struct {
	dir   string
	taken map[string]bool
}

// move returns the new path of a file or directory, which is that of its owner
// alone.
func (f files) move(path, owner string) string {
	name := filepath.Base(path)
	if name == "." || name == ".." || name == string(filepath.Separator) {
		name = owner
	}
	for n, base := 1, name; f.taken[name]; n++ {
		name = owner + "-" + base
		if n > 1 {
			name = fmt.Sprintf("%s%d-%s", owner, n, base)
		}
	}
	f.taken[name] = true
	return filepath.Join(f.dir, name)
}
