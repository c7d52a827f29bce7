package config

import (
	"fmt"
	"maps"
	"strings"

	"kozo"
	"kozo/internal/config/shape"
	"kozo/internal/config/tree"
	"kozo/internal/secure"
	"kozo/internal/system"
)

// file checks the whole tree. What it returns is complete only if nothing was
// found.
func (c *checker) file(root *tree.Node) *system.System {
	switch root.Kind {
	case tree.Null:
		c.fail(tree.Pos{Line: 1, Column: 1}, "", `it needs at least a block "system" with one node`, "the file is empty")
		return nil
	case tree.List, tree.Scalar:
		c.fail(root.Pos, "", `a file begins with "system:"`, "expected options and the block %q, found %v", shape.SystemKey, root.Kind)
		return nil
	}
	top := &block{level: atRoot, pos: tree.Pos{Line: 1, Column: 1}, node: root, options: c.shape.Root, blocks: []string{shape.SystemKey}}
	values, _ := c.values(top, false)
	c.algorithms(top, values)
	sys := &system.System{Settings: settings(values), Digest: map[string]string{}}
	c.digestSettings(sys.Digest, values)

	entry, ok := root.Get(shape.SystemKey)
	if !ok && top.misspelt(shape.SystemKey) {
		return sys
	}
	if !ok {
		c.fail(top.pos, "", "it holds the nodes, each in a block of its own", "the block %q is missing", shape.SystemKey)
		return sys
	}
	nodes, ok := c.entered(entry, "", "nodes")
	if !ok {
		return sys
	}
	if len(nodes.Entries) == 0 {
		c.fail(entry.Pos, "", "write a block for at least one node", "the system has no nodes")
	}
	if len(nodes.Entries) > MaxNodes {
		c.fail(entry.Pos, "", "", "the system has %d nodes; at most %d are possible", len(nodes.Entries), MaxNodes)
		return sys
	}
	keys := map[secure.PublicKey]owner{}
	for _, e := range nodes.Entries {
		if n := c.node(e, values, keys, sys.Digest); n != nil {
			sys.Nodes = append(sys.Nodes, n)
		}
	}
	return sys
}

// settings makes a struct of values that were checked.
func settings(values kozo.Values) system.Settings {
	var s system.Settings
	if err := values.Decode(&s); err != nil { // every value has its type
		panic(err)
	}
	return s
}

// maxAlgorithms is how many ciphers or MACs a list can have; there are fewer.
const maxAlgorithms = 100

// algorithms checks the names of ciphers and MACs, and replaces them by their
// full names.
func (c *checker) algorithms(b *block, values kozo.Values) {
	check := func(option string, canonical func(string) (string, error)) {
		at, given := b.place(option)
		list, _ := values[option].(kozo.List)
		if given && len(list) == 0 && !c.wrong[at] {
			c.fail(at.Pos, b.path, "remove the line to have the default", "%s: there is no name in the list", option)
		}
		if len(list) > maxAlgorithms {
			c.fail(at.Pos, b.path, "", "%s: there are %d names in the list; at most %d are possible", option, len(list), maxAlgorithms)
			list = list[:0]
		}
		var full kozo.List
		for _, name := range list {
			word, err := canonical(name)
			if err != nil {
				c.fail(c.where(b, option, fmt.Sprintf("%q", name)), b.path, "", "%s: %v", option, err)
				continue
			}
			full = append(full, word)
		}
		if list != nil {
			values[option] = full
		}
	}
	check("cipher", secure.CheckCipher)
	check("hmac", secure.CheckMAC)
}

// owner is the node that has a public key.
type owner struct {
	node kozo.NodeName
	line int
}

// named checks the name of a node, a role or a transport.
func (c *checker) named(e tree.Entry, path, what string) bool {
	if err := kozo.CheckName(e.Key); err != nil {
		c.fail(e.Pos, path, "", "%q cannot name a %s: %v", short(e.Key), what, err)
		return false
	}
	return true
}

func (c *checker) node(e tree.Entry, root kozo.Values, keys map[secure.PublicKey]owner, digest map[string]string) *system.Node {
	if e.Value.Kind == tree.Scalar && shape.Has(c.shape.Root, e.Key) {
		c.fail(e.Pos, "", fmt.Sprintf("%s is an option at the root of the file; do not indent it", e.Key), "expected a node, found the option %q", e.Key)
		return nil
	}
	if !c.named(e, "", "node") {
		return nil
	}
	path := fmt.Sprintf("node %q", e.Key)
	body, ok := c.entered(e, path, "options")
	if !ok {
		return nil
	}
	b := &block{level: atNode, path: path, pos: e.Pos, node: body, options: c.shape.Node, blocks: []string{shape.OverrideKey, shape.RolesKey, shape.TransportsKey}}
	values, _ := c.values(b, false)
	var o system.NodeOptions
	if err := values.Decode(&o); err != nil { // every value has its type
		panic(err)
	}
	n := &system.Node{
		Name: kozo.NodeName(e.Key), PrivateKey: string(o.PrivateKey), PublicKey: strings.TrimSpace(o.PublicKey), RoleStorage: string(o.RoleStorage),
		SelfToOthers: policy(o.SelfToOthers), OthersToSelf: policy(o.OthersToSelf),
	}
	if at, given := b.place("privateKey"); given && n.PrivateKey == "" && at.Kind == tree.Scalar {
		c.fail(at.Pos, path, "", "privateKey: the path is empty")
	}
	if key, ok := c.publicKey(b, n, keys); ok {
		values["publicKey"] = key.Line() // for the digest: its comment means nothing
	}
	overrides := c.override(b, root, n)
	c.taken = nil
	c.parts(b, shape.RolesKey, "role", func(e tree.Entry, path string) {
		if r := c.role(e, path, n); r != nil {
			n.Roles = append(n.Roles, r)
		}
	})
	c.parts(b, shape.TransportsKey, "transport", func(e tree.Entry, path string) {
		if t := c.transport(e, path, n); t != nil {
			n.Transports = append(n.Transports, t)
		}
	})
	c.binds()
	digest["system."+e.Key] = c.digestNode(n, values, overrides)
	return n
}

// policy reads a word that was checked.
func policy(word string) kozo.Policy {
	var p kozo.Policy
	if word != "" {
		if err := p.UnmarshalText([]byte(word)); err != nil {
			panic(err)
		}
	}
	return p
}

// publicKey checks the public key of a node, and that nobody else has it.
func (c *checker) publicKey(b *block, n *system.Node, keys map[secure.PublicKey]owner) (key secure.PublicKey, ok bool) {
	at, given := b.place("publicKey")
	if !given || at.Kind != tree.Scalar {
		return key, false
	}
	key, err := secure.ParsePublicKey(n.PublicKey)
	if err != nil {
		c.fail(at.Pos, b.path, "", "publicKey: %v", err)
		return key, false
	}
	if first, taken := keys[key]; taken {
		c.fail(at.Pos, b.path, fmt.Sprintf("every node has a key pair of its own; the other one is in line %d", first.line),
			"publicKey: this is the key of node %q", first.node)
		return key, false
	}
	keys[key] = owner{n.Name, at.Pos.Line}
	return key, true
}

// override reads overrideMainConfiguration and gives the node its settings. It
// returns what is overridden.
func (c *checker) override(b *block, root kozo.Values, n *system.Node) kozo.Values {
	values := maps.Clone(root)
	own := kozo.Values{}
	if e, ok := b.node.Get(shape.OverrideKey); ok {
		path := shape.OverrideKey + " of " + b.path
		if body, ok := c.entered(e, path, "options"); ok {
			inner := &block{level: atOverride, path: path, pos: e.Pos, node: body, options: c.shape.Root}
			own, _ = c.values(inner, true)
			c.algorithms(inner, own)
			c.own[n.Name] = inner
			maps.Copy(values, own)
		}
	}
	n.Settings = settings(values)
	return own
}

// parts goes through the roles or the transports of a node.
func (c *checker) parts(b *block, key, what string, each func(e tree.Entry, path string)) {
	e, ok := b.node.Get(key)
	if !ok {
		return
	}
	body, ok := c.entered(e, b.path, key)
	if !ok {
		return
	}
	for _, e := range body.Entries {
		if e.Value.Kind == tree.Scalar && (shape.Has(c.shape.Node, e.Key) || shape.Has(c.shape.Root, e.Key)) {
			c.fail(e.Pos, b.path, c.home(b.level, e.Key), "expected a %s, found the option %q", what, e.Key)
			continue
		}
		if c.named(e, b.path, what) {
			each(e, fmt.Sprintf("%s %q of %s", what, e.Key, b.path))
		}
	}
}
