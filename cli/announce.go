package cli

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"kozo"
	"kozo/internal/config"
	"kozo/internal/node"
	"kozo/internal/system"
)

// announced is what onion-address prints for programs.
type announced struct {
	Transport string      `json:"transport"`
	Options   kozo.Values `json:"options"`
	Written   bool        `json:"written"` // the file has them already
}

func (a *app) announceCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "onion-address [CONFIG] NODE",
		Short: "Print the address of a node's onion service",
		Long: `Print what to put into the configuration for the onion service that a node makes
itself (transport onion with controlPort): its address, and the public key with
which it finds the services of others. Run it on the node, as the user under
whom the node runs: it makes the keys if there are none, in the node's
roleStorage or the transport's keyFile. Tor need not run, nor be installed.

` + where,
		Args:              takes("[CONFIG]", "NODE"),
		ValidArgsFunction: a.completeNodes,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				if looksLikeFile(args[0]) && isFile(args[0]) {
					return misused("NODE is missing").hint("usage: kozo onion-address CONFIG NODE")
				}
				path, err := a.guessConfig("onion-address CONFIG NODE")
				if err != nil {
					return err
				}
				args = []string{path, args[0]}
			}
			file, err := a.load(args[0], a.typesHere())
			if err != nil {
				return err
			}
			return a.announce(file, args[1])
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) announce(file *config.File, name string) error {
	self, err := nodeOf(file, name)
	if err != nil {
		return err
	}
	all := []announced{}
	var of []*system.Transport
	for _, t := range self.Transports {
		announcer, ok := t.Transport.(kozo.Announcer)
		if !ok {
			continue
		}
		env := network(self.Name)(slog.New(slog.DiscardHandler))
		node.Equip(env, file.System, self, t)
		values, err := announcer.Announce(env)
		if err != nil {
			return failed("transport %s of %s: %w", t.Name, name, err)
		}
		all, of = append(all, announced{t.Name, values, written(t, values)}), append(of, t)
	}
	if len(all) == 0 {
		return failed("%s has no transport of type onion", name).
			hint("give it one with the line controlPort: 9051, or where tor can be controlled")
	}
	if a.json {
		return a.emit(all)
	}
	for i, one := range all {
		t := of[i]
		if one.Written {
			a.say("transport %s of %s has these lines in %s already", t.Name, name, file.Name)
		} else {
			a.say("lines for transport %s of %s in %s, on every node", t.Name, name, file.Name)
		}
		typ, _ := a.types.Transport(t.Type)
		for _, o := range typ.Options {
			if v, ok := one.Options[o.Name]; ok {
				a.printf("%s: %s\n", o.Name, fmt.Sprint(v))
			}
		}
	}
	return nil
}

// written says whether the file has the values already.
func written(t *system.Transport, values kozo.Values) bool {
	for name, v := range values {
		if fmt.Sprint(t.Values[name]) != fmt.Sprint(v) {
			return false
		}
	}
	return true
}
