// Package stage runs all nodes of a configuration on this machine, as processes,
// with keys, ports and directories of their own that go away afterwards.
package stage

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"

	"kozo"
	"kozo/cli/internal/fleet"
	"kozo/internal/config"
	"kozo/internal/control"
	"kozo/internal/node"
	"kozo/internal/secure"
	"kozo/internal/system"
)

// Stage is a temporary directory in which all nodes of a configuration run on
// this machine.
type Stage struct {
	Dir    string
	Config string          // path of the configuration
	Nodes  []kozo.NodeName // of the configuration, in its order
	RunDir string          // for the control sockets; empty means the usual one

	types config.Types
	usual control.Dirs
	ports map[int]bool
}

// New makes an empty stage. Its owner removes it. The nodes have their control
// sockets in one of the usual directories, unless they would be in the way of
// others there.
func New(types config.Types, usual control.Dirs) (*Stage, error) {
	dir, err := os.MkdirTemp("", "kozo-")
	if err != nil {
		return nil, err
	}
	return &Stage{Dir: dir, Config: filepath.Join(dir, "config.yml"), types: types, usual: usual, ports: map[int]bool{}}, nil
}

// Remove removes the stage and all that is on it.
func (s *Stage) Remove() { _ = os.RemoveAll(s.Dir) }

// Localize puts a copy of a configuration on the stage, changed so that all its
// nodes can run here.
func (s *Stage) Localize(ctx context.Context, name string, data []byte) error {
	local, err := config.Localize(name, data, s.types, config.LocalizeOptions{
		Dir: s.home(), Key: s.Key, FreePort: s.Port,
	})
	if err != nil {
		return err
	}
	// Onion services have new keys too, and with them new addresses.
	local, err = config.Announce(s.Config, local, s.types, announce)
	if err != nil {
		return err
	}
	return s.Write(ctx, local)
}

// announce returns what a transport knows alone, if it has it from itself.
func announce(sys *system.System, n *system.Node, t *system.Transport) (kozo.Values, error) {
	var env kozo.TransportEnv
	node.Equip(&env, sys, n, t)
	values, err := t.Transport.(kozo.Announcer).Announce(&env)
	if errors.Is(err, kozo.ErrNothingToAnnounce) {
		return nil, nil
	}
	return values, err
}

// Write puts a configuration on the stage as it is.
func (s *Stage) Write(ctx context.Context, data []byte) error {
	if err := os.WriteFile(s.Config, data, 0o600); err != nil {
		return err
	}
	file, err := config.Load(s.Config, s.types)
	if err != nil {
		return fmt.Errorf("the configuration for this machine is wrong, which is a bug: %w", err)
	}
	s.Nodes = nil
	for _, n := range file.System.Nodes {
		s.Nodes = append(s.Nodes, n.Name)
	}
	// Nodes with these names may run on this machine in earnest.
	for _, r := range s.usual.Running(ctx) {
		if slices.Contains(s.Nodes, r.Node) {
			s.RunDir = filepath.Join(s.Dir, "run")
		}
	}
	return nil
}

// home is where the nodes have their directories: apart from what else is on the
// stage, since they can have any name.
func (s *Stage) home() string { return filepath.Join(s.Dir, "nodes") }

// Key makes a key for a node.
func (s *Stage) Key(node kozo.NodeName) (path, public string, err error) {
	dir := filepath.Join(s.home(), string(node))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", "", err
	}
	key, err := secure.GenerateKey()
	if err != nil {
		return "", "", err
	}
	path = filepath.Join(dir, "key")
	return path, key.Public().Line(), key.Write(path, string(node))
}

// Dirs is where the nodes on the stage have their control sockets.
func (s *Stage) Dirs() control.Dirs {
	if s.RunDir != "" {
		return control.Dirs{s.RunDir}
	}
	return s.usual
}

// Run runs the nodes until ctx is done: each as a process of this program, which
// was called arg0, with its flags behind the command line.
func (s *Stage) Run(ctx context.Context, arg0 string, flags []string, p fleet.Printer) error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	env := os.Environ()
	if s.RunDir != "" {
		env = append(env, "KOZO_RUN_DIR="+s.RunDir)
	}
	var members []fleet.Member
	for _, name := range s.Nodes {
		members = append(members, fleet.Member{
			Name: string(name), Path: path, Env: env,
			Args: append([]string{arg0, "run", s.Config, string(name)}, flags...),
		})
	}
	return fleet.Run(ctx, members, p)
}

// Port returns a port to which nobody listens, another one at each call.
func (s *Stage) Port() (int, error) {
	for range 100 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, err
		}
		port := l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
		if !s.ports[port] {
			s.ports[port] = true
			return port, nil
		}
	}
	return 0, errors.New("no free port was found")
}
