package cli

import (
	"context"
	"fmt"
	"sync"

	"github.com/spf13/cobra"

	"kozo/cli/internal/stage"
)

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show a network of three nodes at work on this machine",
		Long: `Show a network of three nodes at work on this machine, with fresh keys in a
temporary directory, until Ctrl-C. It uses free ports of the loopback interface
and leaves nothing behind.`,
		Args: takes(),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.demo(cmd.Context()) },
	}
}

func (a *app) demo(ctx context.Context) error {
	ctx, stop := stopWithTerminal(ctx)
	defer stop()
	s, err := stage.New(a.typesOfAll(), a.dirs())
	if err != nil {
		return err
	}
	defer s.Remove()
	injector, err := s.Demo(ctx)
	if err != nil {
		return err
	}
	a.introduce(s, injector)

	ctx, cancel := context.WithCancel(ctx)
	var greeting sync.WaitGroup
	defer greeting.Wait()
	defer cancel()
	greeting.Go(func() { s.Greet(ctx) })
	return a.play(ctx, s, nil)
}

// introduce tells the person what there is to see.
func (a *app) introduce(s *stage.Stage, injector int) {
	style := a.style()
	a.printf(`Three nodes start now, each a process of its own with its own key. Every line
begins with the name of the node that prints it.

  %s   sends a tick every second
  %s  prints the ticks of all nodes (cuckoo) and keeps their log messages (logger)
  %s   sends a tick every 5 seconds, and what you write to its port %d

In another terminal, try:

  %s
  %s
  %s
  %s

The configuration of these nodes is %s.
Ctrl-C stops them and removes it.

`,
		style.Bold("clock"), style.Bold("scribe"), style.Bold("attic"), injector,
		a.onStage(s, "status", "--node", "scribe"),
		a.onStage(s, "tail", "--node", "scribe"),
		a.onStage(s, "send", "log", "the kettle is on", "--node", "clock"),
		fmt.Sprintf(`echo "('event', 'tick', 'from a person')" | nc localhost %d`, injector),
		s.Config)
}
