package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"kozo/cli/internal/fleet"
	"kozo/cli/internal/spool"
	"kozo/cli/internal/stage"
	"kozo/cli/internal/term"
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
A node that ends is reported, and the others go on. Ctrl-C stops them all.

` + where,
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
	if _, err := a.load(path, a.typesOfAll()); err != nil {
		return err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	ctx, stop := stopWithTerminal(ctx)
	defer stop()
	s, err := stage.New(a.typesOfAll(), a.dirs())
	if err != nil {
		return err
	}
	defer s.Remove()
	if err := s.Localize(ctx, path, data); err != nil {
		return err
	}
	a.say("running %s of %s; Ctrl-C stops them", term.Count(len(s.Nodes), "node"), path)
	a.say("in another terminal: %s", a.onStage(s, "status", "--node", string(s.Nodes[0])))
	var flags []string
	if verbose {
		flags = append(flags, "--verbose")
	}
	return a.play(ctx, s, flags)
}

// play runs the nodes on a stage until ctx is done.
func (a *app) play(ctx context.Context, s *stage.Stage, flags []string) error {
	style, wide := a.style(), 0
	for _, name := range s.Nodes {
		wide = max(wide, term.Width(string(name)))
	}
	ctx, audience := whileRead(ctx)
	defer audience.dismiss()
	out, finish := spooled(spool.Config{
		To: audience.of(a.stdout), Size: outRoom, Patience: outPatience,
		Lost: func(lines int) []byte {
			return fmt.Appendf(nil, "(lost here, since nobody read in time: %s)\n", term.Count(lines, "line"))
		},
	})
	defer finish()
	err := s.Run(ctx, os.Args[0], flags, fleet.Printer{
		Out: out,
		Label: func(i int, name string) string {
			return style.Distinct(i, pad(name, wide)+" |") + " "
		},
		Error: style.Dim,
	})
	if errors.Is(err, fleet.ErrAllEnded) {
		return failed("%w", err)
	}
	return err
}

// onStage returns a command line that talks to the nodes on a stage.
func (a *app) onStage(s *stage.Stage, args ...string) string {
	if s.RunDir != "" {
		return "KOZO_RUN_DIR=" + quote(s.RunDir) + " " + a.selfWith(args)
	}
	return a.again(args...)
}
