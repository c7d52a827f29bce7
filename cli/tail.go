package cli

import (
	"context"
	"errors"
	"os/signal"

	"github.com/spf13/cobra"

	"kozo"
	"kozo/cli/internal/term"
	"kozo/internal/control"
)

// tailed is a line of "tail --json".
type tailed struct {
	Message kozo.Message `json:"message"`
	Missed  uint64       `json:"missed,omitempty"` // messages dropped right after this one, since they were not read in time
}

// errEnough ends a tail that has shown what was asked for.
var errEnough = errors.New("enough")

func (a *app) tailCommand() *cobra.Command {
	var t target
	var most int
	cmd := &cobra.Command{
		Use:   "tail [FILTER…]",
		Short: "Show the messages at a running node, as they come and go",
		Long: `Show the messages at a running node: those that its roles send, and those that
arrive from other nodes. A message that no role of the node wants is not sent to
it, and cannot be seen there.

A FILTER is KIND[:TYPE[:CHANNEL]] and, after "from", ROLE, ROLE@NODE or @NODE;
* stands for any. With several, a message is shown that matches one of them.`,
		Example: `  kozo tail
  kozo tail event:tick
  kozo tail 'log from @attic' 'order:debug'`,
		Args: takes("[FILTER…]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			var filters []kozo.Filter
			for _, arg := range args {
				f, err := kozo.ParseFilter(arg)
				if err != nil {
					return misused("filter %q: %w", arg, err).hint("a filter is KIND[:TYPE[:CHANNEL]] [from ROLE@NODE], for instance event:tick")
				}
				filters = append(filters, f)
			}
			if len(filters) > control.MaxFilters {
				return misused("there are %d filters; at most %d are possible", len(filters), control.MaxFilters)
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), stopSignals()...)
			defer stop()
			return a.tail(ctx, t, filters, most)
		},
	}
	cmd.Flags().IntVar(&most, "count", 0, "stop after so many messages")
	t.flags(a, cmd)
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) tail(ctx context.Context, t target, filters []kozo.Filter, most int) error {
	node, err := a.find(ctx, t, "tail")
	if err != nil {
		return err
	}
	ready := func() { a.say("messages at %s; Ctrl-C ends this", node.Node) }
	seen := 0
	err = control.Tail(ctx, node.Path, filters, ready, func(m kozo.Message, missed uint64) error {
		if a.show(m, missed); a.unwritten != nil {
			return a.unwritten
		}
		if seen++; seen == most {
			return errEnough
		}
		return nil
	})
	switch {
	case err == nil, errors.Is(err, errEnough):
		return nil
	case a.unwritten != nil:
		return failed("%w", a.unwritten)
	}
	return unreachable(node, err)
}

func (a *app) show(m kozo.Message, missed uint64) {
	if a.json {
		if err := a.emitLine(tailed{Message: m, Missed: missed}); err != nil && a.unwritten == nil {
			a.unwritten = err
		}
		return
	}
	style := a.style()
	what := m.Kind.String()
	if m.Type != "" {
		what += ":" + m.Type
	}
	if m.Channel != "" {
		what += ":" + m.Channel
	}
	a.printf("%s  %s  %s  %s\n", style.Dim(m.Time.Local().Format("15:04:05.000")),
		style.Bold(pad(term.Clean(what), 14)), pad(term.Clean(m.From.String()), 16), term.Clean(m.Body.Text()))
	if missed > 0 {
		a.printf("%s\n", style.Pending("("+term.Count(missed, "message")+" missed)"))
	}
}

func pad(text string, width int) string {
	for w := term.Width(text); w < width; w++ {
		text += " "
	}
	return text
}
