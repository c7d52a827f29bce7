package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// where says which file is meant where a command line names none; see
// defaultConfig.
const where = "Without CONFIG it is config.yml in this directory, or else /etc/kozo/config.yml."

// helpCommand is in the place of that of cobra, which takes any word for an
// argument of the program.
func (a *app) helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err == nil && len(rest) == 0 {
				about.InitDefaultHelpFlag()
				return about.Help()
			}
			f := misused("there is no command %s", quote(strings.Join(args, " ")))
			if near := nearest(args[len(args)-1], subcommands(about)); near != "" {
				return f.hint("did you mean %s", strings.Join(append(args[:len(args)-1], near), " "))
			}
			return f.hint("%s help lists the commands", a.self())
		},
	}
}

// subcommands returns the names of what can follow a command.
func subcommands(cmd *cobra.Command) []string {
	var names []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	return names
}
