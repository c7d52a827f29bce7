package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kozo"
	"kozo/cli/internal/term"
	"kozo/internal/control"
)

// target says which running node a command is about.
type target struct {
	node   string
	socket string
}

func (t *target) flags(a *app, cmd *cobra.Command) {
	cmd.Flags().StringVarP(&t.node, "node", "n", "", "the running node to ask; needed if there are several")
	cmd.Flags().StringVar(&t.socket, "socket", "", "the control socket of the node, if it is in an unusual place")
	_ = cmd.RegisterFlagCompletionFunc("node", func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		var names []string
		for _, r := range a.dirs().Running(cmd.Context()) {
			names = append(names, string(r.Node))
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
}

// askTimeout bounds what a node on the same machine may take to answer.
const askTimeout = 10 * time.Second

// find returns the running node that is meant: the one that is named, or the
// only one there is.
func (a *app) find(ctx context.Context, t target, command string) (control.Running, error) {
	if t.socket != "" {
		name := strings.TrimSuffix(filepath.Base(t.socket), filepath.Ext(t.socket))
		return control.Running{Node: kozo.NodeName(name), Path: t.socket}, nil
	}
	running := a.dirs().Running(ctx)
	var open []control.Running
	var names, denied []string
	for _, r := range running {
		if t.node != "" && string(r.Node) == t.node {
			if r.Denied {
				return r, deniedError(t.node)
			}
			return r, nil
		}
		if r.Denied {
			denied = append(denied, string(r.Node))
			continue
		}
		open = append(open, r)
		names = append(names, string(r.Node))
	}
	switch {
	case t.node != "" && len(running) > 0:
		f := failed("no node named %s is running on this machine", t.node)
		if near := nearest(t.node, names); near != "" {
			f = f.hint("did you mean %s", near)
		}
		return control.Running{}, f.hint("running: %s", term.List(append(names, denied...)))
	case len(open) == 1 && t.node == "":
		return open[0], nil
	case len(open) > 1:
		f := misused("which node; %d are running on this machine: %s", len(open), term.List(names))
		return control.Running{}, f.hint("%s", a.again(append(strings.Fields(command), "--node", names[0])...))
	case len(denied) > 0:
		return control.Running{}, deniedError(denied[0])
	}
	f := failed("no node is running on this machine")
	if config := defaultConfig(); config != "" {
		if nodes := a.nodesIn(config); len(nodes) > 0 {
			return control.Running{}, f.hint("start one with %s", a.again(config, string(nodes[0])))
		}
	}
	return control.Running{}, f.hint("start one with %s CONFIG NODE, or see a network at work with %[1]s demo", a.self())
}

func deniedError(node string) *failure {
	return failed("the node %s is run by another user, and talks to that user alone", node).hint("use sudo, or become that user")
}

// unreachable explains why a conversation with a node failed.
func unreachable(r control.Running, err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return deniedError(string(r.Node))
	case errors.Is(err, os.ErrNotExist):
		return failed("there is no socket %s; is the node running", r.Path)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return failed("the node %s has ended", r.Node)
	}
	return failed("%s: %w", r.Node, err)
}
