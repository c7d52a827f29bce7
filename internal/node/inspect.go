package node

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"os/exec"
	"time"

	"kozo"
	"kozo/internal/system"
)

// inspect shows the node to a role whose type asks for it.
func (n *Node) inspect(r *system.Role) *kozo.Inspect {
	if !r.Inspects {
		return nil
	}
	keys := map[kozo.NodeName]string{}
	for _, other := range n.cfg.System.Nodes {
		keys[other.Name] = other.PublicKey
	}
	return &kozo.Inspect{
		Status:     func() (json.RawMessage, error) { return json.Marshal(n.Status()) },
		Tap:        n.Tail,
		Vars:       n.vars,
		LogLevel:   n.cfg.LogLevel,
		Keys:       keys,
		PrivateKey: n.cfg.Key.PEM,
		Helper:     func(ctx context.Context) *exec.Cmd { return n.cfg.Helper(ctx, r.Type) },
	}
}

// vars returns what is known about a role.
func (n *Node) vars(name kozo.RoleName) (map[string]any, error) {
	for i, r := range n.self.Roles {
		if r.Name != name {
			continue
		}
		options := map[string]any{}
		for option, value := range r.Values {
			if d, ok := value.(time.Duration); ok {
				value = d.String()
			}
			options[option] = value
		}
		for _, secret := range r.Secret {
			options[secret] = "***"
		}
		vars := map[string]any{"type": r.Type, "options": options}
		if exposed := n.roles[i].Vars(); exposed != nil {
			vars["vars"] = exposed
		}
		return vars, nil
	}
	return nil, fmt.Errorf("this node has no role named %q", name)
}

// Tail shows the messages that pass through the node and match one of the
// filters, or all if there are none, each with the number of messages that were
// missed right after it, since the reader is slow. It begins when Tail is called,
// not when the loop does, and ends with ctx.
func (n *Node) Tail(ctx context.Context, filters []kozo.Filter) iter.Seq2[kozo.Message, uint64] {
	tap := n.router.Tap(filters)
	closed := context.AfterFunc(ctx, tap.Close)
	return func(yield func(kozo.Message, uint64) bool) {
		defer tap.Close()
		defer closed()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tap.Ready():
			}
			messages, missed := tap.Take()
			for i, m := range messages {
				after := uint64(0)
				if i == len(messages)-1 {
					after = missed
				}
				if ctx.Err() != nil || !yield(m, after) {
					return
				}
			}
		}
	}
}
