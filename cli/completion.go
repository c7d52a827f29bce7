package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Print a script with which a shell completes commands",
		Long: `Print a script with which a shell completes the commands of kozo. SHELL is bash,
zsh, fish or powershell.`,
		Example: `  source <(kozo completion bash)
  kozo completion zsh >"${fpath[1]}/_kozo"
  kozo completion fish >~/.config/fish/completions/kozo.fish`,
		Args:      takes("SHELL"),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			case "fish":
				return root.GenFishCompletion(a.stdout, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.stdout)
			}
			return misused("there is no completion for %q", args[0]).hint("use one of %s", strings.Join(shells, ", "))
		},
	}
}

// completeNodes completes the arguments of a command that takes a file first and
// names of its nodes after that.
func (a *app) completeNodes(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var names []string
	for _, n := range a.nodesIn(args[0]) {
		names = append(names, string(n))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
