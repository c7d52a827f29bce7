package cli

import (
	"context"

	"github.com/spf13/cobra"

	"kozo/cli/internal/view"
	"kozo/internal/control"
)

func (a *app) statusCommand() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the links and roles of a running node",
		Long: `Show the links and roles of a running node as they are now: why a link is down,
how often a role was restarted, what waits, and what was dropped, by cause.

Of a link, SENT is what it was given, ARRIVED what the other node has confirmed,
and SKEW by how much the other node's clock is ahead. Arrivals are what the other
nodes send to this one.`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			node, err := a.find(cmd.Context(), t, "status")
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), askTimeout)
			defer cancel()
			s, err := control.Status(ctx, node.Path)
			if err != nil {
				return unreachable(node, err)
			}
			if a.json {
				return a.emit(s)
			}
			a.printf("%s", view.Status(a.style(), s))
			return nil
		},
	}
	t.flags(a, cmd)
	a.jsonFlag(cmd)
	return cmd
}
