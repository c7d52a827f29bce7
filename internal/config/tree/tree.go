// Package tree reads YAML as what a configuration is made of: blocks of named
// entries, lists and scalars, each with its place in the file. Aliases and merge
// keys are resolved. Whatever the input, reading it takes a bounded amount of
// time and memory, and what is wrong with it is said in plain words.
package tree

import "fmt"

// The bounds of a file.
const (
	MaxDepth  = 64      // of blocks and lists inside each other
	MaxValues = 100_000 // blocks, lists and scalars, aliases written out
)

// Kind is the kind of a node.
type Kind uint8

// The kinds of nodes.
const (
	Null   Kind = iota // nothing, or null
	Scalar             // a word, a number, a text
	List
	Block
)

// String says what people call the kind.
func (k Kind) String() string {
	switch k {
	case Scalar:
		return "a single value"
	case List:
		return "a list"
	case Block:
		return "a block of options"
	}
	return "nothing"
}

// Pos is a place in a file. Columns count characters; both begin at 1.
type Pos struct{ Line, Column int }

// Node is a value of the file.
type Node struct {
	Kind    Kind
	Pos     Pos     // of an alias: where it is used
	Text    string  // of a scalar
	Quoted  bool    // the scalar was written as a string: "yes" and not yes
	Items   []*Node // of a list
	Entries []Entry // of a block: every key once, in the order of the file
}

// Entry is a named value in a block.
type Entry struct {
	Key   string
	Pos   Pos // of the key
	Value *Node
}

// Get returns the entry with a key.
func (n *Node) Get(key string) (Entry, bool) {
	for _, e := range n.Entries {
		if e.Key == key {
			return e, true
		}
	}
	return Entry{}, false
}

// Error is something wrong with the form of a file.
type Error struct {
	Pos     Pos
	Message string
	Hint    string   // what to do about it; can be empty
	Keys    []string // of the blocks around it, from the root; none for what YAML itself refuses
}

func fault(pos Pos, message, hint string) *Error {
	return &Error{Pos: pos, Message: message, Hint: hint}
}

// Error returns the message with its place.
func (e *Error) Error() string {
	return fmt.Sprintf("%d:%d: %s", e.Pos.Line, e.Pos.Column, e.Message)
}
