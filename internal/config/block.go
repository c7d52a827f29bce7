package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"kozo"
	"kozo/internal/config/shape"
	"kozo/internal/config/tree"
	"kozo/internal/system"
)

// checker goes through a file and collects what is wrong with it.
type checker struct {
	source
	types Types
	shape shape.Shape

	found    []Problem // errors; at most maxKept
	more     int
	warnings []Problem
	wrong    map[*tree.Node]bool // values that are not of their type

	taken []bind                   // what the parts of the node at hand take
	roles map[*system.Role]*block  // of all nodes
	own   map[kozo.NodeName]*block // what nodes have in the place of the root options

	// written has the options of roles and transports that are programs as they
	// stand in the file. What they mean is not known on every node.
	written map[any]kozo.Values
}

// maxKept bounds what is collected; some of it is left out by arrange.
const maxKept = 10 * maxProblems

func (c *checker) fail(pos tree.Pos, path, hint, format string, args ...any) {
	if len(c.found) >= maxKept {
		c.more++
		return
	}
	c.found = append(c.found, c.problem(pos, path, hint, fmt.Sprintf(format, args...)))
}

func (c *checker) warn(pos tree.Pos, path, hint, message string) {
	if len(c.warnings) < maxKept {
		c.warnings = append(c.warnings, c.problem(pos, path, hint, message))
	}
}

// note is for what is right, and good to know.
func (c *checker) note(pos tree.Pos, path, message string) {
	if len(c.warnings) < maxKept {
		p := c.problem(pos, path, "", message)
		p.Note = true
		c.warnings = append(c.warnings, p)
	}
}

// problems returns the error for what was found.
func (c *checker) problems() *Problems {
	list := arrange(c.found)
	p := &Problems{List: list, More: c.more}
	if len(list) > maxProblems {
		p.List, p.More = list[:maxProblems], c.more+len(list)-maxProblems
	}
	return p
}

// level is a place at which options can stand.
type level uint8

const (
	atRoot level = iota
	atNode
	atOverride
	atRole
	atTransport
)

// block is a block of options of the file.
type block struct {
	level   level
	path    string        // what people call it: role "timer1" of node "clock"
	pos     tree.Pos      // of its key
	node    *tree.Node    // Block, or Null for an empty one
	options []kozo.Option // that it can have
	blocks  []string      // names of the blocks that it can have in it
}

// place returns where an option of the block stands, or the block if it does
// not.
func (b *block) place(option string) (*tree.Node, bool) {
	if e, ok := b.node.Get(option); ok && e.Value.Kind != tree.Null {
		return e.Value, true
	}
	return nil, false
}

// where returns the place of an option for a message about it.
func (c *checker) where(b *block, option, message string) tree.Pos {
	if n, ok := b.place(option); ok {
		return c.within(n, message)
	}
	return b.pos
}

// entered says whether a value is a block of options, and makes an empty one of
// nothing. what names the entry.
func (c *checker) entered(e tree.Entry, path, what string) (*tree.Node, bool) {
	switch e.Value.Kind {
	case tree.Block:
		return e.Value, true
	case tree.Null:
		return &tree.Node{Kind: tree.Block, Pos: e.Pos}, true
	}
	hint := "write the options indented below it, one in a line"
	if what != "options" {
		hint = fmt.Sprintf("write each of the %s as its name with a colon, and its options indented below that", what)
	}
	found := e.Value.Kind.String()
	if e.Value.Kind == tree.Scalar {
		found = fmt.Sprintf("%q", short(e.Value.Text))
		if e.Value.Text == "" {
			found = "an empty text"
		}
	} else {
		hint += `, without "- "`
	}
	c.fail(e.Value.Pos, path, hint, "expected a block of %s under %q, found %s", what, e.Key, found)
	return nil, false
}

// short cuts a text that is quoted in a message.
func short(text string) string {
	if runes := []rune(text); len(runes) > 40 {
		return string(runes[:40]) + "…"
	}
	return text
}

// values reads the options of a block. A value that is missing or wrong is
// reported, and is the zero value in what is returned; ok says that there was
// none. Options that are not given have their default, unless only is set: then
// they are left out.
func (c *checker) values(b *block, only bool) (values kozo.Values, ok bool) {
	values, ok = kozo.Values{}, true
	before := len(c.found) + c.more
	for _, o := range b.options {
		e, given := b.node.Get(o.Name)
		if !given {
			if !only {
				values[o.Name] = c.absent(b, o)
			}
			continue
		}
		v, err := parse(o, e.Value)
		if err == nil {
			values[o.Name] = v
			continue
		}
		values[o.Name] = zero(o)
		c.wrong[e.Value] = true
		pos := c.within(e.Value, err.Error())
		switch i := slices.IndexFunc(e.Value.Items, func(n *tree.Node) bool { return n.Kind != tree.Scalar }); {
		case e.Value.Kind == tree.Null:
			pos = e.Pos
		case i >= 0 && isList(o):
			pos = e.Value.Items[i].Pos
		}
		hint := ""
		if e.Value.Kind == tree.Scalar {
			hint = didYouMean(e.Value.Text, o.OneOf)
		}
		if e.Value.Kind == tree.Null && o.Required {
			hint = needed(o)
		} else if e.Value.Kind == tree.Null {
			hint = "write a value, or remove the line to have the default"
		}
		c.fail(pos, b.path, hint, "%s: %v", o.Name, err)
	}
	for _, e := range b.node.Entries {
		if !shape.Has(b.options, e.Key) && !slices.Contains(b.blocks, e.Key) {
			c.unknown(b, e)
		}
	}
	return values, before == len(c.found)+c.more
}

// absent is the value of an option that is not given.
func (c *checker) absent(b *block, o kozo.Option) any {
	if o.Required && b.misspelt(o.Name) {
		return zero(o)
	}
	if o.Required {
		c.fail(b.pos, b.path, needed(o), "the option %q is missing", o.Name)
		return zero(o)
	}
	v, err := o.DefaultValue()
	if err != nil { // the option was checked when its type was made
		panic(err)
	}
	return v
}

// needed says what a required option is for.
func needed(o kozo.Option) string {
	doc, _, _ := strings.Cut(o.Doc, ". ")
	doc = strings.TrimSuffix(doc, ".")
	if runes := []rune(doc); len(runes) > 1 && !unicode.IsUpper(runes[1]) {
		doc = string(unicode.ToLower(runes[0])) + string(runes[1:])
	}
	if doc == "" {
		return "it is required"
	}
	return "it is required: " + doc
}

// parse converts a value of the file.
func parse(o kozo.Option, n *tree.Node) (any, error) {
	if o.Type == kozo.TypeAny {
		return anything(o, n)
	}
	switch n.Kind {
	case tree.Null:
		return nil, fmt.Errorf("there is no value")
	case tree.Scalar:
		return o.Parse(kozo.Raw{Text: n.Text, Quoted: n.Quoted})
	case tree.Block:
		return nil, fmt.Errorf("expected %s, found %v", shape.Words(o), n.Kind)
	}
	if !isList(o) {
		return nil, fmt.Errorf("expected %s, found %v", shape.Words(o), n.Kind)
	}
	raw := kozo.Raw{IsList: true}
	for i, item := range n.Items {
		if item.Kind != tree.Scalar {
			return nil, fmt.Errorf("expected a word as entry %d of the list, found %v", i+1, item.Kind)
		}
		raw.List = append(raw.List, kozo.Raw{Text: item.Text, Quoted: item.Quoted})
	}
	return o.Parse(raw)
}

// anything converts a value of which nothing is known.
func anything(o kozo.Option, n *tree.Node) (any, error) {
	switch n.Kind {
	case tree.Scalar:
		return o.Parse(kozo.Raw{Text: n.Text, Quoted: n.Quoted})
	case tree.List:
		list := make([]any, len(n.Items))
		for i, item := range n.Items {
			v, err := anything(o, item)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	case tree.Block:
		block := make(map[string]any, len(n.Entries))
		for _, e := range n.Entries {
			v, err := anything(o, e.Value)
			if err != nil {
				return nil, err
			}
			block[e.Key] = v
		}
		return block, nil
	}
	return nil, nil
}

func isList(o kozo.Option) bool { return o.Type == kozo.TypeList || o.Type == kozo.TypePaths }

// zero is the value of an option that is empty.
func zero(o kozo.Option) any {
	v, err := kozo.Option{Name: o.Name, Type: o.Type}.DefaultValue()
	if err != nil { // an empty default is never parsed
		panic(err)
	}
	return v
}
