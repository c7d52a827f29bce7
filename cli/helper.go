package cli

import (
	"context"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"
)

// helperName is the command that runs the helper of a type of role: nothing that
// a person would type.
const helperName = "role-helper"

// helper makes the command that runs the helper of a type of role in a process
// of its own. When ctx ends it is killed, with all that it has started.
func helper(ctx context.Context, roleType string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, executable(), helperName, roleType)
	cmd.WaitDelay = time.Second
	killWithChildren(cmd)
	return cmd
}

func (a *app) helperCommand() *cobra.Command {
	return &cobra.Command{
		Use:    helperName + " TYPE",
		Hidden: true,
		Args:   takes("TYPE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			t, ok := a.types.Role(args[0])
			if !ok || t.Helper == nil {
				return misused("there is no type of role %q with a helper", args[0])
			}
			if err := t.Helper(cmd.Context(), os.Stdin, a.stdout); err != nil {
				return failed("%w", err)
			}
			return nil
		},
	}
}
