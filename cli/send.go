package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"kozo"
	"kozo/cli/internal/term"
	"kozo/internal/control"
)

func (a *app) sendCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "send event|order|log",
		Short: "Send a message from a running node",
		Long: `Send a message from a running node, to every role of the network that wants it.
It comes from the role "kozo" of that node.

DATA is a JSON value, or else plain text.`,
		Example: `  kozo send event doorbell
  kozo send event temperature '{"room": "attic", "celsius": 19.5}'
  kozo send order debug --channel desk
  kozo send log "the window is open" --level warn`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return misused("send what").hint("use send event, send order or send log")
			}
			f := misused("%q is not a kind of message", args[0])
			if near := nearest(args[0], []string{"event", "order", "log"}); near != "" {
				return f.hint("did you mean send %s", near)
			}
			return f.hint("use send event, send order or send log")
		},
		RunE: func(*cobra.Command, []string) error { return nil }, // Args has refused
		// The kind is what is wrong, not the flags that would follow a right one.
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
	}
	cmd.AddCommand(a.sendEventCommand(), a.sendOrderCommand(), a.sendLogCommand())
	return cmd
}

func (a *app) sendEventCommand() *cobra.Command {
	var t target
	var channel string
	cmd := &cobra.Command{
		Use:   "event TYPE [DATA]",
		Short: "Send an event: something has happened",
		Args:  takes("TYPE", "[DATA]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			content, note := data(args[1:])
			m, err := kozo.NewEvent(args[0], content)
			if err != nil {
				return misused("DATA: %w", err)
			}
			m.Channel = channel
			return a.send(cmd.Context(), t, m, note)
		},
	}
	cmd.Flags().StringVarP(&channel, "channel", "c", "", "which of many it is about")
	t.flags(a, cmd)
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) sendOrderCommand() *cobra.Command {
	var t target
	var channel string
	cmd := &cobra.Command{
		Use:   "order TYPE [DATA]",
		Short: "Send an order: somebody should do something",
		Args:  takes("TYPE", "[DATA]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			content, note := data(args[1:])
			m, err := kozo.NewOrder(args[0], channel, content)
			if err != nil {
				return misused("DATA: %w", err)
			}
			return a.send(cmd.Context(), t, m, note)
		},
	}
	cmd.Flags().StringVarP(&channel, "channel", "c", "", "which of many should obey; all that know the type if it is not given")
	t.flags(a, cmd)
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) sendLogCommand() *cobra.Command {
	var t target
	level := kozo.Info
	cmd := &cobra.Command{
		Use:   "log TEXT",
		Short: "Send a line for the logger roles",
		Args:  takes("TEXT…"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.send(cmd.Context(), t, kozo.NewLog(level, strings.Join(args, " ")), "")
		},
	}
	cmd.Flags().StringVarP(&level, "level", "l", kozo.Info, "how bad it is, usually info, warn or error")
	t.flags(a, cmd)
	a.jsonFlag(cmd)
	return cmd
}

// data is what a person gave as the content of a message: a JSON value, or else
// text. If it was perhaps meant as the other, the note says so.
func data(args []string) (v any, note string) {
	if len(args) == 0 {
		return nil, ""
	}
	dec := json.NewDecoder(strings.NewReader(args[0]))
	dec.UseNumber()
	if err := dec.Decode(&v); err == nil {
		if _, err := dec.Token(); err == io.EOF {
			return v, ""
		}
	}
	if strings.HasPrefix(args[0], "{") || strings.HasPrefix(args[0], "[") {
		note = " (DATA as text, since it is not JSON)"
	}
	return args[0], note
}

func (a *app) send(ctx context.Context, t target, m kozo.Message, note string) error {
	if err := m.Check(); err != nil {
		return misused("%w", err)
	}
	command := fmt.Sprintf("send %s", m.Kind)
	if m.Kind != kozo.Log {
		command += " " + m.Type
	} else {
		command += " TEXT"
	}
	node, err := a.find(ctx, t, command)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	wanted, err := control.Send(ctx, node.Path, m)
	if err != nil {
		return unreachable(node, err)
	}
	m.From = kozo.RoleRef{Node: node.Node, Role: kozo.NodeRole}
	if a.json {
		return a.emitLine(m)
	}
	audience := "; no role of any node wants it"
	if len(wanted) > 0 {
		audience = " to " + term.List(wanted)
	}
	a.say("sent %s from %s%s%s", describe(&m), m.From, audience, note)
	return nil
}

// describe names a message without its content: "event tick", "order debug to
// desk", "log info".
func describe(m *kozo.Message) string {
	s := m.Kind.String()
	if m.Type != "" {
		s += " " + m.Type
	}
	if m.Channel != "" {
		s += " to " + m.Channel
	}
	return s
}
