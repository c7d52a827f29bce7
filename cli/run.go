package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"kozo"
	"kozo/cli/internal/term"
	"kozo/internal/control"
	"kozo/internal/hostnet"
	"kozo/internal/node"
	"kozo/internal/resolve"
	"kozo/internal/sdnotify"
	"kozo/internal/status"
	"kozo/internal/tidy"
)

// runOptions are the flags of run, which the bare "kozo CONFIG NODE" has too.
type runOptions struct {
	verbose bool
	logJSON bool
}

func (o *runOptions) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "log every attempt, not only what changes")
	cmd.Flags().BoolVar(&o.logJSON, "log-json", false, "log for programs: one JSON object on each line")
}

func (a *app) runCommand() *cobra.Command {
	var opts runOptions
	cmd := &cobra.Command{
		Use:   "run CONFIG NODE",
		Short: "Run a node; the same as kozo CONFIG NODE",
		Long: `Run the node with this name until a signal stops it. What its roles have to say
goes to the standard output, and what the node has to say to the standard error.

SIGINT and SIGTERM stop the node, which takes two seconds at most; a second one
ends it at once. SIGHUP makes its roles open their log files again. A node that
prints into a pipe which nobody reads any more stops as well. One whose output is
stuck, in a stopped terminal for instance, goes on: what does not fit into its
memory is lost, and the log says how many lines that were once it moves again.

Exit codes: 0 stopped by a signal, 1 failed while running, 2 wrong usage,
78 the configuration is wrong.`,
		Args:              takes("CONFIG", "NODE"),
		ValidArgsFunction: a.completeNodes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.run(cmd.Context(), args[0], args[1], opts)
		},
	}
	opts.flags(cmd)
	return cmd
}

// run runs a node until a signal stops it.
func (a *app) run(ctx context.Context, path, name string, opts runOptions) error {
	file, err := a.load(path, a.typesHere(kozo.NodeName(name)))
	if err != nil {
		return err
	}
	self, err := nodeOf(file, name)
	if err != nil {
		return err
	}
	key, wrong := keyOf(self)
	if wrong != nil {
		wrong.err = fmt.Errorf("%s: %w", self.Name, wrong.err)
		return wrong
	}
	notify := sdnotify.FromEnv(a.getenv, os.Getpid())
	sdnotify.Unset()
	read, audience := whileRead(ctx)
	defer audience.dismiss()
	log, level := a.nodeLog(opts, audience.of(a.stderr))
	out, finish := nodeOut(audience.of(a.stdout), log)
	defer finish()
	for _, w := range file.Warnings {
		if w.Note {
			log.Info(w.Summary())
			continue
		}
		log.Warn(w.Summary())
	}
	whole, err := filepath.Abs(path)
	if err != nil {
		whole = path
	}
	memory := tidy.New()
	n, err := node.New(node.Config{
		System: file.System, Self: self.Name, Key: key,
		Version: Version, ConfigPath: whole,
		Out: out, Log: log, LogLevel: level,
		Net: network(self.Name), Helper: helper, Stir: memory.Stir,
	})
	if err != nil {
		return misconfigured("%s: %w", self.Name, err)
	}

	socket, err := a.dirs().Listen(self.Name)
	if running, ok := errors.AsType[*control.RunningError](err); ok {
		return failed("%w", running).hint("%s looks at it", a.again("status", "--node", name))
	}
	if err != nil {
		// A node that cannot be looked at is better than none.
		log.Warn("status, tail and send will not work", "err", err)
	}

	ctx, stop := stopOnSignal(read)
	defer stop()
	var parts sync.WaitGroup
	defer parts.Wait()
	if socket != nil {
		defer func() { _ = socket.Close() }()
		parts.Go(func() {
			// The listener alone: the name stays taken until the node has ended.
			if err := control.Serve(ctx, socket.Listener, n); err != nil {
				log.Error("status, tail and send do not work any more", "err", err)
			}
		})
	}
	parts.Go(func() { memory.Run(ctx) })
	memory.Stir()               // what the start needed
	hangups := reopenRequests() // from now on, and not when the goroutine runs
	parts.Go(func() { reopenOn(ctx, hangups, n) })
	parts.Go(func() { tellManager(ctx, notify, n, log) })
	err = n.Run(ctx)
	stop()
	if err != nil {
		return failed("%s: %w", self.Name, err)
	}
	// A signal that ended the reader as well came first.
	if context.Cause(ctx) == errUnread {
		return failed("%s: stopped, since %w", self.Name, errUnread).
			hint("to run it without a reader, send its output to a file or to /dev/null")
	}
	return nil
}

// network makes what a transport of a node is given of the machine's network.
func network(self kozo.NodeName) func(*slog.Logger) *kozo.TransportEnv {
	resolver := resolve.New()
	return func(log *slog.Logger) *kozo.TransportEnv { return hostnet.Env(self, resolver, log) }
}

// statusEvery is how often the line in "systemctl status" is renewed.
const statusEvery = 10 * time.Second

// tellManager keeps the service manager informed until ctx is done. That it
// takes a snapshot before it says that all is well is on purpose: a node that
// hangs does not get that far, and is restarted.
func tellManager(ctx context.Context, notify *sdnotify.Notifier, n *node.Node, log *slog.Logger) {
	if !notify.Enabled() {
		return
	}
	complain := func(err error) {
		if err != nil {
			log.Debug("the service manager cannot be told", "err", err)
		}
	}
	select {
	case <-ctx.Done():
		return
	case <-n.Ready():
	}
	complain(notify.Ready())
	every := statusEvery
	if w := notify.Watchdog(); w > 0 {
		every = min(every, w/2)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for line := ""; ; {
		if now := summary(n.Status()); now != line {
			line = now
			complain(notify.Status(line))
		}
		if notify.Watchdog() > 0 {
			complain(notify.Alive())
		}
		select {
		case <-ctx.Done():
			complain(notify.Stopping())
			return
		case <-tick.C:
		}
	}
}

// summary is a node in one line.
func summary(s status.Node) string {
	up, wanted, waiting := 0, 0, 0
	for _, l := range s.Links {
		if l.State != "off" && l.State != "idle" {
			wanted++
		}
		if l.State == "up" {
			up++
		}
	}
	for _, r := range s.Roles {
		if r.State == "waiting" {
			waiting++
		}
	}
	line := fmt.Sprintf("%d of %s up", up, term.Count(wanted, "link"))
	if waiting > 0 {
		line += fmt.Sprintf(", %s waiting to be restarted", term.Count(waiting, "role"))
	}
	return line
}
