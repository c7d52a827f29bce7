package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"kozo"
	"kozo/cli/internal/fleet"
	"kozo/internal/config"
	"kozo/internal/control"
	"kozo/internal/secure"
)

func (a *app) testnetCommand() *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "testnet [CONFIG]",
		Short: "Run all nodes of a configuration on this machine",
		Long: `Run all nodes of a configuration on this machine, to try it out: each as a
process of its own, with the name of the node before each line that it prints.

The file is left alone. The nodes run with a copy in a temporary directory, in
which they have other keys, addresses on this machine, free ports, and
directories of their own for all that they write. It is removed at the end.
A node that ends is reported, and the others go on. Ctrl-C stops them all.`,
		Args: takes("[CONFIG]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				path, err := a.guessConfig("testnet CONFIG")
				if err != nil {
					return err
				}
				args = []string{path}
			}
			return a.testnet(cmd.Context(), args[0], verbose)
		},
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "let the nodes log every attempt")
	return cmd
}

func (a *app) testnet(ctx context.Context, path string, verbose bool) error {
	if _, err := a.load(path); err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	ctx, stop := stopWithTerminal(ctx)
	defer stop()
	s, err := a.newStage()
	if err != nil {
		return err
	}
	defer s.remove()
	if err := s.localize(ctx, path, data); err != nil {
		return err
	}
	a.say("running %s of %s; Ctrl-C stops them", count(len(s.nodes), "node"), path)
	a.say("in another terminal: %s", s.command("status", "--node", string(s.nodes[0])))
	return s.run(ctx, verbose)
}

// stopWithTerminal is stopOnSignal for what makes no sense without the terminal
// from which it was started.
func stopWithTerminal(ctx context.Context) (context.Context, func()) {
	ctx, stop := stopOnSignal(ctx)
	ctx, hangup := signal.NotifyContext(ctx, syscall.SIGHUP)
	return ctx, func() {
		hangup()
		stop()
	}
}

// stage is a temporary directory in which all nodes of a configuration run on
// this machine.
type stage struct {
	app    *app
	dir    string
	config string // path
	nodes  []kozo.NodeName
	runDir string // for the control sockets, if not the usual one
	ports  map[int]bool
}

// newStage makes an empty stage. Its owner removes it.
func (a *app) newStage() (*stage, error) {
	dir, err := os.MkdirTemp("", "kozo-")
	if err != nil {
		return nil, err
	}
	return &stage{app: a, dir: dir, config: filepath.Join(dir, "config.yml"), ports: map[int]bool{}}, nil
}

// localize puts a copy of a configuration on the stage, changed so that all its
// nodes can run here.
func (s *stage) localize(ctx context.Context, name string, data []byte) error {
	local, err := config.Localize(name, data, s.app.types, config.LocalizeOptions{
		Dir: s.dir, Key: s.key, FreePort: s.port,
	})
	if err != nil {
		return err
	}
	return s.write(ctx, local)
}

// write puts a configuration on the stage as it is.
func (s *stage) write(ctx context.Context, data []byte) error {
	if err := os.WriteFile(s.config, data, 0o600); err != nil {
		return err
	}
	file, err := config.Load(s.config, s.app.types)
	if err != nil {
		return fmt.Errorf("the configuration for this machine is wrong, which is a bug: %w", err)
	}
	s.nodes = namesOf(file.System)
	// Nodes with these names may run on this machine in earnest.
	for _, r := range s.app.dirs().Running(ctx) {
		if slices.Contains(s.nodes, r.Node) {
			s.runDir = filepath.Join(s.dir, "run")
		}
	}
	return nil
}

// key makes a key for a node.
func (s *stage) key(node kozo.NodeName) (path, public string, err error) {
	dir := filepath.Join(s.dir, string(node))
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

func (s *stage) remove() { _ = os.RemoveAll(s.dir) }

// dirs is where the nodes on the stage have their control sockets.
func (s *stage) dirs() control.Dirs {
	if s.runDir != "" {
		return control.Dirs{s.runDir}
	}
	return s.app.dirs()
}

// command returns a command line that talks to the nodes on the stage.
func (s *stage) command(args ...string) string {
	line := s.app.again(args...)
	if s.runDir != "" {
		line = "KOZO_RUN_DIR=" + quote(s.runDir) + " " + line
	}
	return line
}

// run runs the nodes until ctx is done.
func (s *stage) run(ctx context.Context, verbose bool) error {
	env := os.Environ()
	if s.runDir != "" {
		env = append(env, "KOZO_RUN_DIR="+s.runDir)
	}
	var members []fleet.Member
	for _, name := range s.nodes {
		args := []string{os.Args[0], "run", s.config, string(name)}
		if verbose {
			args = append(args, "--verbose")
		}
		members = append(members, fleet.Member{Name: string(name), Path: executable(), Args: args, Env: env})
	}
	style := s.app.style()
	err := fleet.Run(ctx, members, fleet.Printer{
		Out: s.app.stdout,
		Label: func(i int, name string) string {
			return style.Distinct(i, name+" |") + " "
		},
		Error: style.Dim,
	})
	if errors.Is(err, fleet.ErrAllEnded) {
		return failed("%w", err)
	}
	return err
}

// port returns a port to which nobody listens, another one at each call.
func (s *stage) port() (int, error) {
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
