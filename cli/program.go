package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"kozo/cli/internal/term"
	"kozo/internal/extern/trial"
)

func (a *app) programCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "program",
		Short: "Look after programs that are types of roles and transports",
		Args:  takes(),
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.programTestCommand())
	return cmd
}

func (a *app) programTestCommand() *cobra.Command {
	var set []string
	cmd := &cobra.Command{
		Use:   "test FILE",
		Short: "Try a program against the specification, and say what is wrong with it",
		Long: `Run a program that is a type of role as a node would, give it messages, and also
lines that it is to ignore, stop it, and say in plain words what is against
docs/protocol-programs.md. A type of transport is run on two nodes, which are
connected to each other. It takes a few seconds.

Exit codes: 0 nothing is wrong, 1 something is.`,
		Args: takes("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			values := map[string]string{}
			for _, s := range set {
				name, value, ok := strings.Cut(s, "=")
				if !ok {
					return misused("--set takes NAME=VALUE, not %q", s)
				}
				values[name] = value
			}
			ctx, stop := stopWithTerminal(cmd.Context())
			defer stop()
			return a.programTest(ctx, args[0], values)
		},
	}
	cmd.Flags().StringArrayVar(&set, "set", nil, "the value of an option, as NAME=VALUE; can be repeated")
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) programTest(ctx context.Context, path string, values map[string]string) error {
	style := a.style()
	wrong := trial.Run(ctx, trial.Config{Path: path, Values: values, Report: func(f trial.Finding) {
		if a.json {
			if err := a.emitLine(f); err != nil && a.unwritten == nil {
				a.unwritten = err
			}
			return
		}
		word := pad(string(f.Verdict), len(trial.Wrong))
		switch f.Verdict {
		case trial.OK:
			word = style.Good(word)
		case trial.Note:
			word = style.Pending(word)
		case trial.Wrong:
			word = style.Bad(word)
		}
		a.printf("%s  %s\n", word, f.Text)
	}})
	if wrong > 0 {
		return failed("%s: %s wrong with it", path, areWrong(wrong))
	}
	return nil
}

func areWrong(n int) string {
	if n == 1 {
		return "one thing is"
	}
	return term.Count(n, "thing") + " are"
}
