package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// Parse reads a file that has one document. The errors are in the order in
// which they were found. With some of them, a key that is there twice for
// instance, there is a tree as well, so that the rest can be checked.
func Parse(data []byte) (*Node, []*Error) {
	document, failure := parseDocument(data)
	if failure != nil {
		return nil, []*Error{failure}
	}
	x := expander{open: map[*yaml.Node]bool{}}
	root := x.node(document.Content[0], 0)
	if x.full {
		return nil, x.errors
	}
	return root, x.errors
}

// parseDocument reads a file into the nodes of the YAML library, in which aliases
// are not resolved.
func parseDocument(data []byte) (*yaml.Node, *Error) {
	if err := checkText(data); err != nil {
		return nil, err
	}
	document, err := load(data)
	if err != nil {
		return nil, explain(err, Lines(data))
	}
	if document == nil {
		return nil, fault(Pos{1, 1}, "the file is empty", `it needs at least a block "system" with one node`)
	}
	return document, nil
}

// load calls the YAML library, and keeps a panic in it from going further.
func load(data []byte) (document *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			document, err = nil, fmt.Errorf("the YAML reader failed: %v", r)
		}
	}()
	// The aliases are resolved and bounded here, not in the library.
	limits := loaderlimits.New(loaderlimits.DepthValue(MaxDepth), loaderlimits.AliasNone())
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(limits))
	if err != nil {
		return nil, err
	}
	document = new(yaml.Node)
	switch err := loader.Load(document); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, err
	case len(document.Content) != 1:
		return nil, nil
	}
	var second yaml.Node
	switch err := loader.Load(&second); {
	case errors.Is(err, io.EOF):
		return document, nil
	case err != nil:
		return nil, err
	}
	return nil, fault(Pos{second.Line, max(1, second.Column)}, "a second document begins here", `there is one document in a file; remove the line "---"`)
}

// checkText finds what no text file has.
func checkText(data []byte) *Error {
	if bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}) {
		return fault(Pos{1, 1}, "the file is in UTF-16", "save it in UTF-8")
	}
	at := -1
	message, hint := "", ""
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			at, message, hint = i, fmt.Sprintf("the byte 0x%02x is not part of a text in UTF-8", data[i]), "save the file in UTF-8"
		case r == 0:
			at, message, hint = i, "this is not a text file: it has zero bytes", "is this the file you meant?"
		case r < ' ' && !strings.ContainsRune("\t\n\r", r), r == 0x7f:
			at, message, hint = i, fmt.Sprintf("the control character 0x%02x cannot stand in the file", r), "remove it"
		}
		if at >= 0 {
			break
		}
		i += size
	}
	if at < 0 {
		return nil
	}
	lines := Lines(data[:at])
	last := lines[len(lines)-1]
	return fault(Pos{len(lines), utf8.RuneCountInString(last) + 1}, message, hint)
}

// Lines splits a file where YAML does, without the ends of the lines and without
// a byte order mark. There is always at least one line.
func Lines(data []byte) []string {
	text := strings.TrimPrefix(string(data), "\ufeff")
	ends := strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")
	return strings.Split(ends.Replace(text), "\n")
}

// expander makes our nodes of those of the library.
type expander struct {
	errors []*Error
	values int                 // that were made
	open   map[*yaml.Node]bool // anchored nodes that are being expanded
	within []Pos               // the aliases that are being expanded, from the outermost
	keys   []string            // of the blocks that are being expanded
	full   bool                // there is too much, or a cycle: give up
}

func (x *expander) fail(pos Pos, hint, format string, args ...any) {
	e := fault(pos, fmt.Sprintf(format, args...), hint)
	e.Keys = slices.Clone(x.keys)
	x.errors = append(x.errors, e)
}

// stop gives up, with one last error.
func (x *expander) stop(pos Pos, hint, format string, args ...any) {
	if !x.full {
		x.fail(pos, hint, format, args...)
		x.full = true
	}
}

func place(n *yaml.Node) Pos { return Pos{max(1, n.Line), max(1, n.Column)} }

func (x *expander) node(n *yaml.Node, depth int) *Node {
	if n.Kind == yaml.AliasNode {
		return x.alias(n, depth)
	}
	out := &Node{Pos: place(n)}
	if x.values++; x.values > MaxValues && len(x.within) > 0 {
		x.stop(x.within[0], "aliases of blocks that have aliases themselves multiply quickly",
			"with its aliases written out the file has more than %d values", MaxValues)
	} else if x.values > MaxValues {
		x.stop(out.Pos, "", "the file has more than %d values", MaxValues)
	}
	if depth > MaxDepth {
		x.stop(out.Pos, "", "blocks and lists are nested more than %d deep", MaxDepth)
	}
	if x.full {
		return out
	}
	x.checkTag(n)
	switch n.Kind {
	case yaml.MappingNode:
		out.Kind = Block
		x.block(out, n, depth)
	case yaml.SequenceNode:
		out.Kind = List
		for _, c := range n.Content {
			out.Items = append(out.Items, x.node(c, depth+1))
		}
	default:
		out.Quoted = n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 ||
			n.Tag == "!!str" && n.Style&yaml.TaggedStyle != 0
		if n.Tag != "!!null" {
			out.Kind, out.Text = Scalar, n.Value
		}
	}
	return out
}

// checkTag refuses tags such as !include, which mean something elsewhere.
func (x *expander) checkTag(n *yaml.Node) {
	known := []string{"!", "!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq", "!!merge"}
	if n.Style&yaml.TaggedStyle != 0 && !slices.Contains(known, n.Tag) {
		x.fail(place(n), "remove it", "the tag %q means nothing here", n.Tag)
	}
}

func (x *expander) alias(n *yaml.Node, depth int) *Node {
	if n.Alias == nil || x.open[n.Alias] {
		x.stop(place(n), "write out what is meant", "the block with the anchor %q contains itself", "&"+n.Value)
		return &Node{Pos: place(n)}
	}
	x.open[n.Alias] = true
	x.within = append(x.within, place(n))
	out := x.node(n.Alias, depth)
	x.within = x.within[:len(x.within)-1]
	delete(x.open, n.Alias)
	out.Pos = place(n)
	return out
}

// block fills a block: first what it has itself, then what it merges.
func (x *expander) block(out *Node, n *yaml.Node, depth int) {
	if n.Anchor != "" { // reached without an alias, it can still contain one
		defer func(was bool) { x.open[n] = was }(x.open[n])
		x.open[n] = true
	}
	seen := map[string]Pos{}
	var merged []*Node
	for i := 0; i+1 < len(n.Content) && !x.full; i += 2 {
		key, pos := n.Content[i], place(n.Content[i])
		if key.Kind == yaml.AliasNode && key.Alias != nil {
			key = key.Alias
		}
		if key.Kind != yaml.ScalarNode {
			x.fail(pos, "", "a key has to be a word, not %s", kindOf(key))
			continue
		}
		if first, twice := seen[key.Value]; twice {
			hint := fmt.Sprintf("the first one is in line %d", first.Line)
			if key.Tag == "!!merge" {
				hint = "merge several blocks with a list of aliases"
			}
			x.fail(pos, hint, "%q is there twice", key.Value)
			continue
		}
		seen[key.Value] = pos
		if key.Tag == "!!merge" {
			merged = append(merged, x.merged(n.Content[i+1], depth)...)
			continue
		}
		x.keys = append(x.keys, key.Value)
		out.Entries = append(out.Entries, Entry{key.Value, pos, x.node(n.Content[i+1], depth+1)})
		x.keys = x.keys[:len(x.keys)-1]
	}
	for _, m := range merged {
		for _, e := range m.Entries {
			if _, own := seen[e.Key]; !own {
				seen[e.Key] = e.Pos
				out.Entries = append(out.Entries, e)
			}
		}
	}
}

// merged returns the blocks that the value of a merge key names.
func (x *expander) merged(n *yaml.Node, depth int) []*Node {
	value := x.node(n, depth+1)
	blocks := []*Node{value}
	if value.Kind == List {
		blocks = value.Items
	}
	for _, b := range blocks {
		if b.Kind != Block && !x.full {
			x.fail(b.Pos, "write <<: *NAME, where &NAME marks a block further up", `"<<" merges blocks, and this is %s`, b.Kind)
		}
	}
	return blocks
}

func kindOf(n *yaml.Node) Kind {
	switch n.Kind {
	case yaml.MappingNode:
		return Block
	case yaml.SequenceNode:
		return List
	}
	return Scalar
}
