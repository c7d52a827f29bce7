// Package cli is the kozo command: it reads the command line, calls the rooms
// that do the work, and writes for people.
//
// # Voice
//
// These rules hold for every word that a command writes.
//
//   - Facts go to the standard output; everything about how it went goes to the
//     standard error. What can be piped is never mixed with chat.
//   - A command that did what it was told says so in one line at most.
//   - An error is one line, "kozo: " and then lower case without a full stop: what
//     is wrong, where, and what to do. A second line, "hint: ", is there for each
//     mistake that can be foreseen. Usage is not dumped on people.
//   - A command line in a text can be pasted into a shell as it stands.
//   - Nothing is asked. What can be guessed is guessed, and said.
//   - --json prints the same facts for programs: one object, or one on each line
//     of a stream. It never changes what a command does.
//   - Colours only on a terminal, never as the only bearer of a meaning, and none
//     with NO_COLOR. No exclamation marks, no pictures.
//
// # Exit codes
//
// 0: done, or stopped by a signal. 1: it failed while running. 2: the command
// line is wrong. 78: the configuration is wrong, so that starting again with the
// same files cannot help.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"kozo"
	"kozo/cli/internal/term"
	"kozo/internal/control"
	"kozo/internal/extern"
)

// The exit codes of the command.
const (
	ExitOK     = 0  // done, or stopped by a signal
	ExitFailed = 1  // failed while running
	ExitUsage  = 2  // the command line is wrong
	ExitConfig = 78 // the configuration is wrong; EX_CONFIG of sysexits.h
)

// Main runs the command line args, without the name of the program, with the
// types of roles and transports that the program has, and returns its exit code.
// A program with types of its own is a main function that fills a registry and
// calls Main:
//
//	func main() {
//		types := standard.Registry()
//		if err := types.AddRole(doorbell.Type()); err != nil {
//			log.Fatal(err)
//		}
//		os.Exit(cli.Main(types, os.Args[1:]))
//	}
func Main(types *kozo.Registry, args []string) int {
	a := &app{types: types, stdout: os.Stdout, stderr: os.Stderr, getenv: os.Getenv, settle: func() {}}
	a.programs = extern.New(extern.Dirs{
		Roles: a.list("KOZOROLEPATH"), Transports: a.list("KOZOTRANSPORTPATH"), Imports: a.list("KOZOIMPORTPATH"),
	})
	code := a.main(args)
	a.settle()
	return code
}

// list returns the directories of an environment variable.
func (a *app) list(name string) []string {
	return slices.DeleteFunc(filepath.SplitList(a.getenv(name)), func(dir string) bool { return dir == "" })
}

// app is one run of the command.
type app struct {
	types          *kozo.Registry
	programs       *extern.Set // types that are not in the registry
	stdout, stderr io.Writer
	getenv         func(string) string
	json           bool   // the facts are for a program
	understood     bool   // the command line made sense
	unwritten      error  // the first one of the standard output
	settle         func() // lets what was said be written at the end
}

func (a *app) main(args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	err := root.ExecuteContext(context.Background())
	if err == nil && a.unwritten != nil {
		err = failed("%w", a.unwritten)
	}
	if err == nil {
		return ExitOK
	}
	f, ok := errors.AsType[*failure](err)
	switch {
	case ok:
	case a.understood:
		f = failed("%w", err)
	default:
		f = misused("%w", err)
	}
	f.print(a.stderr)
	return f.code
}

// The headings under which the help lists the commands.
const (
	groupFile = "file"
	groupNet  = "net"
	groupLive = "live"
)

func (a *app) root() *cobra.Command {
	var opts runOptions
	var version bool
	root := &cobra.Command{
		Use:   "kozo CONFIG NODE",
		Short: "Run a node of a Kōzō network, or look after one",
		Long: `Kōzō is a network of small computers in which tasks send each other messages.
One file describes the network, and every node has a copy of it.

  kozo CONFIG NODE    runs the node with this name
  kozo demo           shows a network at work on this machine`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: a.completeNodes,
		SilenceErrors:     true,
		SilenceUsage:      true,
		// Ours has hints and exit codes like the other commands.
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		PersistentPreRun: func(*cobra.Command, []string) {
			a.understood = true
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if version {
				a.printf("%s\n", thisBuild())
				return nil
			}
			if len(args) == 0 {
				return cmd.Help()
			}
			return a.bare(cmd, args, opts)
		},
	}
	opts.flags(root)
	// The flag that cobra has for this would bring templates along, with which the
	// linker can leave out much less: they cost a fifth of the program's size.
	root.Flags().BoolVar(&version, "version", false, "print the version of this program")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return misused("%w", err).hint("%s --help lists the flags", cmd.CommandPath())
	})
	root.SetHelpCommand(a.helpCommand())
	root.AddGroup(
		&cobra.Group{ID: groupNet, Title: "Run nodes:"},
		&cobra.Group{ID: groupLive, Title: "Talk to a running node:"},
		&cobra.Group{ID: groupFile, Title: "Prepare and understand a configuration:"},
	)
	for group, commands := range map[string][]*cobra.Command{
		groupNet:  {a.runCommand(), a.demoCommand(), a.testnetCommand()},
		groupLive: {a.statusCommand(), a.tailCommand(), a.sendCommand()},
		groupFile: {
			a.initCommand(), a.keygenCommand(), a.checkCommand(), a.explainCommand(),
			a.typesCommand(), a.schemaCommand(), a.announceCommand(), a.programCommand(),
		},
		"": {a.versionCommand(), a.completionCommand(), a.helperCommand()},
	} {
		for _, c := range commands {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	return root
}

// bare is a command line that begins with none of the commands: "kozo CONFIG
// NODE", or a mistake.
func (a *app) bare(cmd *cobra.Command, args []string, opts runOptions) error {
	if isFile(args[0]) {
		if len(args) == 2 {
			return a.run(cmd.Context(), args[0], args[1], opts)
		}
		if len(args) > 2 {
			return misused("expected one NODE after %s, found %d", args[0], len(args)-1)
		}
		f := misused("which node of %s is this one", args[0])
		if nodes := a.nodesIn(args[0]); len(nodes) > 0 {
			return f.hint("%s %s %s", a.self(), quote(args[0]), nodes[0]).hint("its nodes are %s", term.List(nodes))
		}
		return f.hint("%s CONFIG NODE runs a node, %[1]s check %s looks at the file", a.self(), quote(args[0]))
	}
	if len(args) == 2 && (looksLikeFile(args[0]) || isDir(args[0])) {
		return a.run(cmd.Context(), args[0], args[1], opts) // says why it cannot be read
	}
	f := misused("%q is neither a command nor a file", args[0])
	if len(args) == 2 && isFile(args[1]) && slices.Contains(a.nodesIn(args[1]), kozo.NodeName(args[0])) {
		return f.hint("the file comes first: %s %s %s", a.self(), quote(args[1]), args[0])
	}
	if near := nearest(args[0], subcommands(cmd)); near != "" {
		return f.hint("did you mean %s", near)
	}
	return f.hint("%s --help lists the commands; %[1]s CONFIG NODE runs a node", a.self())
}

// dirs are the directories in which the nodes of this machine have their
// sockets.
func (a *app) dirs() control.Dirs { return control.DirsFrom(a.getenv) }

// style is for what goes to the standard output.
func (a *app) style() term.Style { return term.StyleFor(a.stdout, a.getenv) }

// jsonFlag gives a command the flag --json.
func (a *app) jsonFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&a.json, "json", false, "print for programs")
}

// emit prints a fact as JSON.
func (a *app) emit(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// emitLine prints one object of a stream.
func (a *app) emitLine(v any) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printf prints a fact. That it could not be written is said at the end.
func (a *app) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(a.stdout, format, args...); err != nil && a.unwritten == nil {
		a.unwritten = err
	}
}

// say is for how it goes, and not for facts.
func (a *app) say(format string, args ...any) {
	_, _ = fmt.Fprintf(a.stderr, format+"\n", args...)
}
