package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"kozo"
	"kozo/internal/control"
	"kozo/internal/status"
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
	s, err := a.newStage()
	if err != nil {
		return err
	}
	defer s.remove()
	text, injector, err := demoConfig(s)
	if err != nil {
		return err
	}
	if err := s.write(ctx, []byte(text)); err != nil {
		return err
	}
	a.introduce(s, injector)

	ctx, cancel := context.WithCancel(ctx)
	var greeting sync.WaitGroup
	defer greeting.Wait()
	defer cancel()
	greeting.Go(func() { s.greet(ctx) })
	return s.run(ctx, false)
}

// demoConfig is a network like the one of the documentation, at home on this
// machine. It also returns the port of the injector.
func demoConfig(s *stage) (text string, injector int, err error) {
	values := []any{}
	for _, name := range []kozo.NodeName{"clock", "scribe", "attic"} {
		path, public, err := s.key(name)
		if err != nil {
			return "", 0, err
		}
		port, err := s.port()
		if err != nil {
			return "", 0, err
		}
		values = append(values, path, public, port)
	}
	if injector, err = s.port(); err != nil {
		return "", 0, err
	}
	values = append(values, filepath.Join(s.dir, "scribe", "storage"), filepath.Join(s.dir, "scribe", "scribe.log"), injector)
	return fmt.Sprintf(`system:
    clock:
        privateKey: %[1]q
        publicKey: %[2]s
        roles:
            timer1:
                type: timer
                tick: 1
        transports:
            tcp:
                address: 127.0.0.1
                bindAddress: 127.0.0.1
                port: %[3]d
    scribe:
        privateKey: %[4]q
        publicKey: %[5]s
        roleStorage: %[10]q
        roles:
            cuckoo:
            logger:
                file: %[11]q
        transports:
            tcp:
                address: 127.0.0.1
                bindAddress: 127.0.0.1
                port: %[6]d
    attic:
        privateKey: %[7]q
        publicKey: %[8]s
        roles:
            chime:
                type: timer
                tick: 5
                message: tea is ready
            injector:
                type: message_injector
                bindPort: %[12]d
                log: true
        transports:
            tcp:
                address: 127.0.0.1
                bindAddress: 127.0.0.1
                port: %[9]d
heartbeat: 5
connectionRetry: 5
`, values...), injector, nil
}

// introduce tells the person what there is to see.
func (a *app) introduce(s *stage, injector int) {
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
		s.command("status", "--node", "scribe"),
		s.command("tail", "--node", "scribe"),
		s.command("send", "log", "the kettle is on", "--node", "clock"),
		fmt.Sprintf(`echo "('event', 'tick', 'from a person')" | nc localhost %d`, injector),
		s.config)
}

// greet sends a log message as soon as the attic and the scribe are connected,
// as a person would with "kozo send".
func (s *stage) greet(ctx context.Context) {
	for {
		attic, ok := s.socketOf(ctx, "attic")
		if ok {
			st, err := control.Status(ctx, attic)
			ok = err == nil && slices.ContainsFunc(st.Links, func(l status.Link) bool {
				return l.Peer == "scribe" && l.State == "up"
			})
		}
		if ok {
			m := kozo.NewLog(kozo.Info, "hello from the attic, sent by the demo as kozo send log does")
			if err := control.Send(ctx, attic, m); err == nil || !errors.Is(err, context.Canceled) {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// socketOf returns the control socket of a running node on the stage.
func (s *stage) socketOf(ctx context.Context, name kozo.NodeName) (string, bool) {
	for _, r := range s.dirs().Running(ctx) {
		if r.Node == name && !r.Denied {
			return r.Path, true
		}
	}
	return "", false
}
