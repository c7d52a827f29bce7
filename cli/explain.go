package cli

import (
	"github.com/spf13/cobra"

	"kozo/cli/internal/view"
	"kozo/internal/config"
)

func (a *app) explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain [CONFIG] A B",
		Short: "Tell at length how two nodes talk to each other",
		Long: `Tell at length how two nodes talk to each other: for both directions, when there
is a link, which addresses are dialled in which order, what it carries, what
waits while it is down, and when a connection is taken for dead. Nothing is
dialled.

` + where,
		Args:              takes("[CONFIG]", "A", "B"),
		ValidArgsFunction: a.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				if looksLikeFile(args[0]) && isFile(args[0]) {
					return misused("B is missing").hint("usage: %s CONFIG A B", cmd.CommandPath())
				}
				path, err := a.guessConfig("explain CONFIG A B")
				if err != nil {
					return err
				}
				args = append([]string{path}, args...)
			}
			file, err := a.load(args[0], a.typesHere())
			if err != nil {
				return err
			}
			return a.explain(file, args[1], args[2])
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) explain(file *config.File, first, second string) error {
	x, err := nodeOf(file, first)
	if err != nil {
		return err
	}
	y, err := nodeOf(file, second)
	if err != nil {
		return err
	}
	if x == y {
		return misused("%s and %s are the same node, whose roles need no link to talk", first, second)
	}
	there, back := file.System.Edge(x, y), file.System.Edge(y, x)
	if a.json {
		return a.emit([]view.Explained{view.Explain(there), view.Explain(back)})
	}
	a.printf("%s\n%s", view.Story(a.style(), there), view.Story(a.style(), back))
	return nil
}
