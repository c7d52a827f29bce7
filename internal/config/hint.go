package config

import (
	"fmt"
	"slices"
	"strings"

	"kozo/internal/config/shape"
	"kozo/internal/config/tree"
)

// unknown reports a key that its block cannot have, with the best advice there
// is: the key that was meant, or the place where this one belongs.
func (c *checker) unknown(b *block, e tree.Entry) {
	here := append(shape.Names(b.options), b.blocks...)
	hint := didYouMean(e.Key, here)
	if home := c.home(b.level, e.Key); home != "" && (hint == "" || !sameLetters(e.Key, here)) {
		hint = home
	}
	if hint == "" && len(here) <= 12 {
		slices.Sort(here)
		hint = "the options are " + strings.Join(here, ", ")
	}
	c.fail(e.Pos, b.path, hint, "unknown option %q", short(e.Key))
}

// misspelt says whether a block has a key that is no option and was probably
// meant to be this one. It is reported where it stands, and that is enough.
func (b *block) misspelt(name string) bool {
	return slices.ContainsFunc(b.node.Entries, func(e tree.Entry) bool {
		return !shape.Has(b.options, e.Key) && !slices.Contains(b.blocks, e.Key) && didYouMean(e.Key, []string{name}) != ""
	})
}

// sameLetters says whether a word is one of the others but for capital letters.
func sameLetters(word string, others []string) bool {
	return slices.ContainsFunc(others, func(o string) bool { return strings.EqualFold(o, word) })
}

// home says where a key belongs that was found at a level where it does not, or
// nothing if it belongs nowhere.
func (c *checker) home(found level, key string) string {
	var roles, transports []string // the types that have such an option
	for _, t := range c.types.Roles() {
		if shape.Has(t.Options, key) {
			roles = append(roles, t.Name)
		}
	}
	for _, t := range c.types.Transports() {
		if shape.Has(t.Options, key) {
			transports = append(transports, t.Name)
		}
	}
	_, roleType := c.types.Role(key)
	_, transportType := c.types.Transport(key)
	switch {
	case key == shape.SystemKey && found == atOverride:
		return "the system is the same for all nodes"
	case key == shape.SystemKey:
		return fmt.Sprintf("%s stands at the root of the file", key)
	case shape.Has(c.shape.Root, key) && found == atNode:
		return fmt.Sprintf("%s is an option at the root of the file; under %s it changes this node alone", key, shape.OverrideKey)
	case shape.Has(c.shape.Root, key):
		return fmt.Sprintf("%s is an option at the root of the file", key)
	case shape.Has(c.shape.Node, key), key == shape.RolesKey, key == shape.TransportsKey, key == shape.OverrideKey:
		return fmt.Sprintf("%s belongs to a node, one of the blocks under %s", key, shape.SystemKey)
	case found == atNode && roleType:
		return fmt.Sprintf("%s is a type of role; move it under %s", key, shape.RolesKey)
	case found == atNode && transportType:
		return fmt.Sprintf("%s is a type of transport; move it under %s", key, shape.TransportsKey)
	case shape.Has(c.shape.Role, key) && found != atTransport:
		return fmt.Sprintf("%s is an option of a role; move it into one of the blocks under %s", key, shape.RolesKey)
	case len(roles) > 0:
		return fmt.Sprintf("%s is an option of a role of type %s", key, strings.Join(roles, " or "))
	case len(transports) > 0:
		return fmt.Sprintf("%s is an option of a transport of type %s", key, strings.Join(transports, " or "))
	}
	return ""
}

// unknownType reports a type of role or transport that there is not, neither in
// this program nor in the directories that were searched.
func (c *checker) unknownType(p *part, searched []string) {
	what, other, option := "role", "transport", "rolePath"
	_, misplaced := c.types.Transport(p.typ)
	if p.level == atTransport {
		what, other, option = other, what, "transportPath"
		_, misplaced = c.types.Role(p.typ)
	}
	var hints []string
	_, given := p.node.Get("type")
	key := slices.IndexFunc(p.node.Entries, func(e tree.Entry) bool { return didYouMean(e.Key, []string{"type"}) != "" })
	switch meant := didYouMean(p.typ, c.typesAt(p.level)); {
	case !given && key >= 0:
		e := p.node.Entries[key]
		hints = append(hints, fmt.Sprintf("the block has no type; line %d has %q: %s", e.Pos.Line, short(e.Key), didYouMean(e.Key, []string{"type"})))
	case misplaced:
		hints = append(hints, fmt.Sprintf("%s is a type of %s; move the block under %ss", p.typ, other, other))
	case !given && meant != "":
		hints = append(hints, fmt.Sprintf("the block has no type, so its name is taken for one; %s", meant))
	case !given:
		hints = append(hints, "the block has no type, so its name is taken for one")
	case meant != "":
		hints = append(hints, meant)
	}
	if !misplaced && (given || key < 0) {
		hints = append(hints, "the types are "+strings.Join(c.typesAt(p.level), ", "))
	}
	if len(searched) > 0 && !misplaced {
		hints = append(hints, fmt.Sprintf("there is no file %s or %[1]s.* in %s (%s)", p.typ, strings.Join(searched, ", "), option))
	}
	pos := c.where(p.block, "type", "")
	hint := strings.ReplaceAll(strings.Join(hints, "; "), "?;", "?")
	c.fail(pos, p.path, hint, "unknown type of %s %q", what, short(p.typ))
}
