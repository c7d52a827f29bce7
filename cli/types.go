package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"kozo"
	"kozo/cli/internal/term"
	"kozo/internal/config"
)

// typeInfo describes a type of role or transport.
type typeInfo struct {
	Name         string        `json:"name"`
	Is           string        `json:"is"` // "role" or "transport"
	Doc          string        `json:"doc"`
	NeedsStorage bool          `json:"needs_storage,omitempty"`
	Options      []kozo.Option `json:"options"`
}

func (a *app) allTypes() []typeInfo {
	var all []typeInfo
	for _, t := range a.types.Roles() {
		all = append(all, typeInfo{Name: t.Name, Is: "role", Doc: t.Doc, NeedsStorage: t.NeedsStorage, Options: t.Options})
	}
	for _, t := range a.types.Transports() {
		all = append(all, typeInfo{Name: t.Name, Is: "transport", Doc: t.Doc, Options: t.Options})
	}
	for i := range all {
		if all[i].Options == nil {
			all[i].Options = []kozo.Option{}
		}
	}
	return all
}

func (a *app) typesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "types [TYPE]",
		Short: "List the types of roles and transports, or the options of one",
		Args:  takes("[TYPE]"),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return a.listTypes()
			}
			return a.describeType(args[0])
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, t := range a.allTypes() {
				names = append(names, t.Name)
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) listTypes() error {
	all := a.allTypes()
	if a.json {
		return a.emit(all)
	}
	style := a.style()
	for _, is := range []string{"role", "transport"} {
		a.printf("%s\n", style.Bold(is+"s"))
		wide := 0
		for _, t := range all {
			wide = max(wide, term.Width(t.Name))
		}
		table := term.Table{Indent: "  "}
		for _, t := range all {
			if t.Is != is {
				continue
			}
			for i, line := range term.Wrap(t.Doc, 94-wide) {
				name := ""
				if i == 0 {
					name = t.Name
				}
				table.Row(name+strings.Repeat(" ", wide-term.Width(name)), line)
			}
		}
		if _, err := table.WriteTo(a.stdout); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) describeType(name string) error {
	var found []typeInfo
	var names []string
	for _, t := range a.allTypes() {
		names = append(names, t.Name)
		if t.Name == name {
			found = append(found, t)
		}
	}
	if len(found) == 0 {
		f := misused("there is no type of role or transport named %q", name)
		if near := nearest(name, names); near != "" {
			return f.hint("did you mean %s", near)
		}
		return f.hint("%s types lists them", a.self())
	}
	if a.json {
		return a.emit(found)
	}
	style := a.style()
	for _, t := range found {
		a.printf("%s is a type of %s.\n", style.Bold(t.Name), t.Is)
		for _, line := range term.Wrap(t.Doc, 98) {
			a.printf("%s\n", line)
		}
		if t.NeedsStorage {
			a.printf("Its node needs roleStorage.\n")
		}
		if len(t.Options) == 0 {
			a.printf("\nIt has no options.\n")
		}
		for _, o := range t.Options {
			a.printf("\n  %s  %s\n", style.Bold(o.Name), style.Dim(facts(o)))
			for _, line := range term.Wrap(o.Doc, 92) {
				a.printf("      %s\n", line)
			}
		}
	}
	return nil
}

// facts says what an option takes.
func facts(o kozo.Option) string {
	s := string(o.Type)
	if len(o.OneOf) > 0 {
		s = "one of " + strings.Join(o.OneOf, ", ")
	}
	switch {
	case o.Min != "" && o.Max != "":
		s += fmt.Sprintf(" from %s to %s", o.Min, o.Max)
	case o.Min != "":
		s += " from " + o.Min
	case o.Max != "":
		s += " up to " + o.Max
	}
	switch {
	case o.Required:
		return s + ", required"
	case o.Default == "":
		return s + ", empty by default"
	}
	return s + ", default " + o.Default
}

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the configuration, for editors",
		Long: `Print the JSON Schema of the configuration, for editors.

With the YAML language server, which most editors can use, write the schema to a
file and name it in the first line of the configuration:

  # yaml-language-server: $schema=kozo.schema.json`,
		Args: takes(),
		RunE: func(*cobra.Command, []string) error {
			schema, err := config.Schema(a.types)
			if err != nil {
				return err
			}
			a.printf("%s\n", strings.TrimRight(string(schema), "\n"))
			return nil
		},
	}
}
