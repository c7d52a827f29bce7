package tree

import (
	"fmt"
	"strconv"

	yaml "go.yaml.in/yaml/v4"
)

// Draft is a file that is changed and written again. Its comments stay, and so
// does the order of its entries. Aliases and merge keys are written out, so that
// a change at one place does not touch another.
type Draft struct{ document *yaml.Node }

// NewDraft makes a draft of a file. The error is the first thing that [Parse]
// finds wrong with it.
func NewDraft(data []byte) (*Draft, error) {
	if _, faults := Parse(data); len(faults) > 0 {
		return nil, faults[0] // the aliases, above all, are bounded and no cycle
	}
	document, fault := parseDocument(data)
	if fault != nil {
		return nil, fault
	}
	return &Draft{written(document)}, nil
}

// written returns a copy without anchors, aliases and merge keys.
func written(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		out := written(n.Alias)
		out.HeadComment, out.LineComment, out.FootComment = n.HeadComment, n.LineComment, n.FootComment
		return out
	}
	out := *n
	out.Anchor, out.Content = "", nil
	if n.Kind != yaml.MappingNode {
		for _, c := range n.Content {
			out.Content = append(out.Content, written(c))
		}
		return &out
	}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := written(n.Content[i]), written(n.Content[i+1])
		switch {
		case key.Tag != "!!merge":
			out.Content = append(out.Content, key, value)
		case value.Kind == yaml.SequenceNode:
			merged = append(merged, value.Content...)
		default:
			merged = append(merged, value)
		}
	}
	for _, m := range merged {
		for i := 0; i+1 < len(m.Content); i += 2 {
			if find(&out, m.Content[i].Value) < 0 {
				out.Content = append(out.Content, m.Content[i], m.Content[i+1])
			}
		}
	}
	return &out
}

// find returns the index of a value in a block, or -1.
func find(block *yaml.Node, key string) int {
	for i := 0; i+1 < len(block.Content); i += 2 {
		if block.Content[i].Value == key {
			return i + 1
		}
	}
	return -1
}

// Has says whether there is a value under some keys, the outermost first.
func (d *Draft) Has(keys ...string) bool {
	block := d.document.Content[0]
	for _, key := range keys {
		i := find(block, key)
		if block.Kind != yaml.MappingNode || i < 0 {
			return false
		}
		block = block.Content[i]
	}
	return true
}

// Set replaces or adds the value under some keys, the outermost first. Blocks
// that are missing or empty are made. The value is a string or an int.
func (d *Draft) Set(value any, keys ...string) {
	block := d.document.Content[0]
	for _, key := range keys[:len(keys)-1] {
		i := find(block, key)
		if i < 0 {
			block.Content = append(block.Content, text(key), &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"})
			i = len(block.Content) - 1
		}
		if block.Content[i].Kind != yaml.MappingNode {
			block.Content[i] = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		}
		block = block.Content[i]
	}
	scalar := text(fmt.Sprint(value))
	if n, ok := value.(int); ok {
		scalar = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(n)}
	}
	key := keys[len(keys)-1]
	if i := find(block, key); i >= 0 {
		old := block.Content[i]
		scalar.HeadComment, scalar.LineComment, scalar.FootComment = old.HeadComment, old.LineComment, old.FootComment
		block.Content[i] = scalar
		return
	}
	block.Content = append(block.Content, text(key), scalar)
}

func text(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

// Bytes writes the draft.
func (d *Draft) Bytes() ([]byte, error) {
	out, err := yaml.Dump(d.document, yaml.WithIndent(4), yaml.WithLineWidth(-1))
	if err != nil {
		return nil, fmt.Errorf("the file cannot be written again: %w", err)
	}
	return out, nil
}
