package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"kozo"
	"kozo/cli/internal/term"
	"kozo/internal/config"
	"kozo/internal/system"
)

// typeInfo describes a type of role or transport.
type typeInfo struct {
	Name         string        `json:"name"`
	Is           string        `json:"is"` // "role" or "transport"
	Doc          string        `json:"doc"`
	NeedsStorage bool          `json:"needs_storage,omitempty"`
	Options      []kozo.Option `json:"options"`
	FreeForm     string        `json:"free_form,omitempty"` // why the options are not known
}

func infoOfRole(t kozo.RoleType) typeInfo {
	return typeInfo{Name: t.Name, Is: "role", Doc: t.Doc, NeedsStorage: t.NeedsStorage, Options: known(t.Options), FreeForm: t.FreeForm}
}

func infoOfTransport(t kozo.TransportType) typeInfo {
	return typeInfo{Name: t.Name, Is: "transport", Doc: t.Doc, Options: known(t.Options), FreeForm: t.FreeForm}
}

func known(options []kozo.Option) []kozo.Option {
	if options == nil {
		return []kozo.Option{}
	}
	return options
}

// registry returns the types that the program has itself and those that are
// programs which a configuration uses. path may be empty: then there are none of
// the latter.
func (a *app) registry(path string) (*kozo.Registry, *system.Settings, error) {
	if path == "" {
		return a.types, &system.Settings{}, nil
	}
	file, err := a.load(path, a.typesHere())
	if err != nil {
		return nil, nil, err
	}
	all := kozo.NewRegistry()
	for _, t := range slices.Concat(a.types.Roles(), a.programs.Roles()) {
		if err := all.AddRole(t); err != nil {
			return nil, nil, err
		}
	}
	for _, t := range slices.Concat(a.types.Transports(), a.programs.Transports()) {
		if err := all.AddTransport(t); err != nil {
			return nil, nil, err
		}
	}
	return all, &file.System.Settings, nil
}

func (a *app) typesCommand() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "types [TYPE]",
		Short: "List the types of roles and transports, or the options of one",
		Long: `List the types of roles and transports, or the options of one.

With --config, those that are programs and that the configuration uses are among
them. TYPE can also be a program in one of the directories of the configuration,
or of KOZOROLEPATH and KOZOTRANSPORTPATH; it is asked to describe itself.`,
		Args: takes("[TYPE]"),
		RunE: func(_ *cobra.Command, args []string) error {
			types, settings, err := a.registry(path)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return a.listTypes(types)
			}
			return a.describeType(types, settings, args[0])
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, t := range infos(a.types) {
				names = append(names, t.Name)
			}
			return append(names, a.programNames(nil, nil)...), cobra.ShellCompDirectiveNoFileComp
		},
	}
	cmd.Flags().StringVar(&path, "config", "", "a configuration, with programs as types")
	a.jsonFlag(cmd)
	return cmd
}

// programNames returns the names of the types that are programs, in directories of
// a configuration or in those of the environment.
func (a *app) programNames(rolePath, transportPath []string) []string {
	return append(a.programs.RoleNames(rolePath), a.programs.TransportNames(transportPath)...)
}

// infos describes the types of a registry.
func infos(types *kozo.Registry) []typeInfo {
	var all []typeInfo
	for _, t := range types.Roles() {
		all = append(all, infoOfRole(t))
	}
	for _, t := range types.Transports() {
		all = append(all, infoOfTransport(t))
	}
	return all
}

func (a *app) listTypes(types *kozo.Registry) error {
	all := infos(types)
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

func (a *app) describeType(types *kozo.Registry, settings *system.Settings, name string) error {
	var found []typeInfo
	names := a.programNames(settings.RolePath, settings.TransportPath)
	for _, t := range infos(types) {
		names = append(names, t.Name)
		if t.Name == name {
			found = append(found, t)
		}
	}
	more, err := a.describePrograms(settings, name, found)
	if err != nil {
		return err
	}
	found = append(found, more...)
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
		switch {
		case t.FreeForm != "":
			a.printf("\nIts options are not known: %s\n", t.FreeForm)
		case len(t.Options) == 0:
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

// describePrograms describes the programs of a name that the registry does not
// have.
func (a *app) describePrograms(settings *system.Settings, name string, have []typeInfo) ([]typeInfo, error) {
	if kozo.CheckName(name) != nil {
		return nil, nil
	}
	has := func(is string) bool { return slices.ContainsFunc(have, func(t typeInfo) bool { return t.Is == is }) }
	var found []typeInfo
	if !has("role") {
		t, _, err := a.programs.Role(name, settings.RolePath, settings.ImportPath)
		if err != nil {
			return nil, misconfigured("%w", err)
		}
		if t.Name != "" {
			found = append(found, infoOfRole(t))
		}
	}
	if !has("transport") {
		t, _, err := a.programs.Transport(name, settings.TransportPath, settings.ImportPath)
		if err != nil {
			return nil, misconfigured("%w", err)
		}
		if t.Name != "" {
			found = append(found, infoOfTransport(t))
		}
	}
	return found, nil
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
	case o.Default == "" && o.Type == kozo.TypeAny:
		return s + ", optional"
	case o.Default == "":
		return s + ", empty by default"
	}
	return s + ", default " + o.Default
}

func (a *app) schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema [CONFIG]",
		Short: "Print the JSON Schema of the configuration, for editors",
		Long: `Print the JSON Schema of the configuration, for editors.

With the YAML language server, which most editors can use, write the schema to a
file and name it in the first line of the configuration:

  # yaml-language-server: $schema=kozo.schema.json

With CONFIG, it also knows the types that are programs and that this configuration
uses.`,
		Args: takes("[CONFIG]"),
		RunE: func(_ *cobra.Command, args []string) error {
			types, _, err := a.registry(strings.Join(args, ""))
			if err != nil {
				return err
			}
			schema, err := config.Schema(types)
			if err != nil {
				return err
			}
			a.printf("%s\n", strings.TrimRight(string(schema), "\n"))
			return nil
		},
	}
}
