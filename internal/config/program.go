package config

import (
	"fmt"
	"path/filepath"
	"strings"

	"kozo"
	"kozo/internal/system"
)

// program looks for a type that this program does not have itself, and says
// whether to go on with the block. A type that is on another machine alone is no
// mistake, as long as the file says that there are such types.
func (c *checker) program(p *part, n *system.Node, search kozo.Paths, find func(search, imports []string) (bool, []string, error)) bool {
	if c.types.Programs == nil || kozo.CheckName(p.typ) != nil {
		c.unknownType(p, nil)
		return false
	}
	dir := filepath.Dir(c.name)
	found, searched, err := find(fromAll(dir, search), fromAll(dir, n.Settings.ImportPath))
	elsewhere := c.types.Here != nil && !c.types.Here(n.Name)
	at := c.where(p.block, "type", "")
	switch {
	case err != nil && elsewhere:
		c.warn(at, p.path, "its node may have a better one", fmt.Sprintf("the program for its type cannot be used on this machine, so its options are not checked: %v", err))
		return true
	case err != nil:
		c.fail(at, p.path, "", "%v", err)
		return false
	case found:
		return true
	case len(searched) == 0, c.types.Here != nil && !elsewhere:
		c.unknownType(p, searched)
		return false
	}
	hint := fmt.Sprintf("there is no file %s or %[1]s.* in %s", p.typ, strings.Join(searched, ", "))
	if meant := didYouMean(p.typ, c.typesAt(p.level)); meant != "" {
		hint = meant + " " + strings.ToUpper(hint[:1]) + hint[1:]
	}
	c.warn(at, p.path, hint, fmt.Sprintf("the type %q is not on this machine, so its options are not checked", p.typ))
	return true
}

// freeForm notes that nothing is known about the options of a type.
func (c *checker) freeForm(p *part, why string) {
	if why != "" {
		c.note(c.where(p.block, "type", ""), p.path, fmt.Sprintf("the options of type %s are not checked, since %s", p.typ, why))
	}
}

// typesAt returns the names of the types of roles or of transports that this
// program has itself.
func (c *checker) typesAt(l level) []string {
	var have []string
	if l == atTransport {
		for _, t := range c.types.Transports() {
			have = append(have, t.Name)
		}
		return have
	}
	for _, t := range c.types.Roles() {
		have = append(have, t.Name)
	}
	return have
}
