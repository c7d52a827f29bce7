package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"kozo"
	"kozo/cli/internal/term"
	"kozo/cli/internal/view"
	"kozo/internal/config"
	"kozo/internal/system"
)

// finding is a problem or a warning for programs.
type finding struct {
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	Note    bool   `json:"note,omitempty"` // of a warning: all is well
}

func findings(problems []config.Problem) []finding {
	list := []finding{}
	for _, p := range problems {
		list = append(list, finding{Line: p.Line, Column: p.Column, Path: p.Path, Message: p.Message, Hint: p.Hint, Note: p.Note})
	}
	return list
}

// report is what check prints for programs.
type report struct {
	File     string      `json:"file"`
	OK       bool        `json:"ok"`
	Problems []finding   `json:"problems"`
	Warnings []finding   `json:"warnings"`
	Edges    []view.Edge `json:"edges,omitempty"`
	Node     *nodeReport `json:"node,omitempty"`
}

// nodeReport is what is true of a node on this machine.
type nodeReport struct {
	Name        string   `json:"name"`
	Fingerprint string   `json:"fingerprint,omitempty"` // of its key
	Storage     string   `json:"storage,omitempty"`
	Problems    []string `json:"problems"`
}

func (a *app) checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [CONFIG [NODE]]",
		Short: "Check a configuration, and say what follows from it",
		Long: `Check a configuration as run does, and say for every pair of nodes which
addresses will be dialled in which order, or why their link can never come up.
With NODE, look also at what this machine must have to be that node: the private
key and the storage. Nothing is started, and nothing is dialled.

` + where + `

Exit codes: 0 it is right, 78 it is wrong.`,
		Args:              takes("[CONFIG]", "[NODE]"),
		ValidArgsFunction: a.completeNodes,
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				path, err := a.guessConfig("check CONFIG [NODE]")
				if err != nil {
					return err
				}
				args = []string{path}
			}
			return a.check(args[0], args[1:])
		},
	}
	a.jsonFlag(cmd)
	return cmd
}

func (a *app) check(path string, nodes []string) error {
	types := a.typesHere()
	if len(nodes) > 0 {
		types = a.typesHere(kozo.NodeName(nodes[0]))
	}
	file, err := a.load(path, types)
	if err != nil {
		problems, ok := errors.AsType[*config.Problems](err)
		if !a.json || !ok {
			return err
		}
		if err := a.emit(report{File: path, Problems: findings(problems.List), Warnings: []finding{}}); err != nil {
			return err
		}
		return &failure{code: ExitConfig, err: fmt.Errorf("%s: %s", path, term.Count(len(problems.List), "problem"))}
	}
	rep := report{File: path, OK: true, Problems: []finding{}}
	edges := file.System.Edges()
	var wrong *failure
	if len(nodes) > 0 {
		self, err := nodeOf(file, nodes[0])
		if err != nil {
			return err
		}
		rep.Node = &nodeReport{Name: string(self.Name), Problems: []string{}}
		wrong = rep.Node.inspect(self)
		rep.OK = wrong == nil
		edges = edgesOf(edges, self)
	} else {
		file.Warnings = append(file.Warnings, strayKeys(file)...)
	}
	rep.Warnings = findings(file.Warnings)
	for _, e := range edges {
		rep.Edges = append(rep.Edges, view.EdgeOf(e))
	}
	if a.json {
		err = a.emit(rep)
	} else {
		err = a.printReport(file, rep)
	}
	if err == nil && wrong != nil {
		wrong.err = fmt.Errorf("%s cannot run here: %w", rep.Node.Name, wrong.err)
		return wrong
	}
	return err
}

// edgesOf keeps the links of one node, in both directions.
func edgesOf(edges []system.Edge, self *system.Node) []system.Edge {
	var own []system.Edge
	for _, e := range edges {
		if e.From == self || e.To == self {
			own = append(own, e)
		}
	}
	return own
}

// inspect looks at what this machine must have to be a node, and returns the
// first problem.
func (r *nodeReport) inspect(n *system.Node) *failure {
	key, first := keyOf(n)
	if first != nil {
		r.Problems = append(r.Problems, first.Error())
	} else {
		r.Fingerprint = key.Public().Fingerprint()
	}
	if n.RoleStorage == "" {
		return first
	}
	r.Storage = n.RoleStorage
	if err := writable(n.RoleStorage); err != nil {
		err := misconfigured("roleStorage %s: %w", n.RoleStorage, err)
		r.Problems = append(r.Problems, err.Error())
		first = cmp.Or(first, err)
	}
	return first
}

// writable says whether files can be made in a directory, or the directory
// itself. It makes one and removes it, since nothing else tells for sure.
func writable(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		parent := filepath.Dir(filepath.Clean(dir))
		if parent == filepath.Clean(dir) {
			return err
		}
		if err := writable(parent); err != nil {
			return fmt.Errorf("it does not exist and cannot be made: %w", err)
		}
		return nil
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	}
	f, err := os.CreateTemp(dir, ".check-*")
	if err != nil {
		return fmt.Errorf("this user cannot write to %s; check who owns it", dir)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

func (a *app) printReport(file *config.File, rep report) error {
	style := a.style()
	for _, w := range file.Warnings {
		word := style.Pending("warning:")
		if w.Note {
			word = style.Dim("note:")
		}
		a.printf("%s %s\n", word, w)
	}
	a.printf("%s: %s, %s, %s\n", rep.File, style.Good("ok"),
		term.Count(len(file.System.Nodes), "node"), term.Count(len(file.System.Edges()), "link"))
	if rep.Node != nil {
		a.printNode(style, *rep.Node)
	}
	if len(rep.Edges) == 0 {
		return nil
	}
	a.printf("\n")
	t := term.Table{}
	t.Row(style.Dim("FROM"), style.Dim("TO"), style.Dim("POLICY"), style.Dim("BY"))
	for _, e := range rep.Edges {
		lines := view.Ways(style, e)
		t.Row(e.From, e.To, e.Policy, lines[0])
		for _, line := range lines[1:] {
			t.Row("", "", "", line)
		}
	}
	_, err := t.WriteTo(a.stdout)
	return err
}

func (a *app) printNode(style term.Style, n nodeReport) {
	for _, p := range n.Problems {
		a.printf("%s: %s\n", n.Name, style.Bad(p))
	}
	if n.Fingerprint != "" {
		a.printf("%s: key %s, %s\n", n.Name, style.Good("ok"), n.Fingerprint)
	}
	if len(n.Problems) == 0 && n.Storage != "" {
		a.printf("%s: storage %s, %s\n", n.Name, style.Good("ok"), n.Storage)
	}
}
