package kozo

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"log/slog"
	"os/exec"
)

// Inspect is a node seen from inside, with its secrets. It is given to the roles
// whose type asks for it ([RoleType].Inspects), for helping people to find
// faults; all others get along with their Env. All of it may be used from several
// goroutines at once, until Run returns.
type Inspect struct {
	// Status returns a snapshot of the node: what "kozo status --json" prints.
	Status func() (json.RawMessage, error)

	// Tap shows the messages that pass through the node and match one of the
	// filters, or all if there are none, each with the number of messages that
	// were missed right after it. It begins when it is called and ends with ctx.
	Tap func(ctx context.Context, filters []Filter) iter.Seq2[Message, uint64]

	// Vars returns what is known about a role of the node: its options, and
	// what it exposes ([Exposer]). The error says that there is no such role.
	Vars func(RoleName) (map[string]any, error)

	// LogLevel is the least level that is logged.
	LogLevel *slog.LevelVar

	// Keys holds the public keys of all nodes, each as a line of a .pub file.
	Keys map[NodeName]string

	// PrivateKey returns the private key of the node, in the format of OpenSSH.
	PrivateKey func() ([]byte, error)

	// Helper returns a command that runs [RoleType].Helper of the role's type
	// in a process of its own. It is killed when ctx ends.
	Helper func(ctx context.Context) *exec.Cmd
}

// Exposer is implemented by roles that show a person who looks for a fault what
// they have in mind.
type Exposer interface {
	// Vars returns values that encoding/json can write. It is called from other
	// goroutines than Run's while Run runs.
	Vars() map[string]any
}

// Helper is the part of a role that runs in a process of its own, so that it
// goes on when the node stands still. It ends when in does, at the latest.
type Helper func(ctx context.Context, in io.Reader, out io.Writer) error
