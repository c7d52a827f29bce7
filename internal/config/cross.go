package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kozo"
	"kozo/internal/config/tree"
	"kozo/internal/system"
)

// bind is something that a part takes on its machine.
type bind struct {
	block *block
	what  string
}

// at is where to change what is taken: at the port, if there is one.
func (b bind) at() tree.Pos {
	for _, o := range b.block.options {
		if o.Type != kozo.TypePort {
			continue
		}
		if n, given := b.block.place(o.Name); given {
			return n.Pos
		}
	}
	return b.block.pos
}

// binds finds parts of one node that take the same, as kozo.Binder.Binds
// describes it.
func (c *checker) binds() {
	slices.SortStableFunc(c.taken, func(a, b bind) int {
		return cmp.Or(cmp.Compare(a.block.pos.Line, b.block.pos.Line), cmp.Compare(a.block.pos.Column, b.block.pos.Column))
	})
	const whichever = "\x00" // stands for the first address of a port, whichever
	first := map[[3]string]bind{}
	for _, b := range c.taken {
		network, host, port := address(b.what)
		wanted := []string{host, ""}
		if host == "" {
			wanted = []string{whichever}
		}
		for _, h := range wanted {
			a, taken := first[[3]string{network, h, port}]
			if taken && a.block != b.block {
				part, _, _ := strings.Cut(a.block.path, " of node ")
				c.fail(b.at(), b.block.path, fmt.Sprintf("that one is in line %d; give one of them another", a.at().Line),
					"%s is taken by %s already", b.what, part)
				break
			}
		}
		for _, h := range []string{host, whichever} {
			if k := [3]string{network, h, port}; first[k].block == nil {
				first[k] = b
			}
		}
	}
}

// address takes "tcp 127.0.0.1:9001" apart. The host is empty if it means all
// addresses; what has no port is a network of its own.
func address(s string) (network, host, port string) {
	network, rest, ok := strings.Cut(s, " ")
	i := strings.LastIndexByte(rest, ':')
	if !ok || i < 0 {
		return s, "", ""
	}
	host, port = strings.Trim(rest[:i], "[]"), rest[i+1:]
	switch host {
	case "0.0.0.0", "::", "*":
		host = ""
	case "localhost", "::1":
		host = "127.0.0.1"
	}
	return network, host, port
}

// unheard warns of roles that wait for messages which nobody sends.
func (c *checker) unheard(sys *system.System) {
	var roles []string
	for _, n := range sys.Nodes {
		for _, r := range n.Roles {
			roles = append(roles, string(r.Name))
		}
	}
	for _, u := range sys.Unheard() {
		b := c.roles[sys.Node(u.Role.Node).Role(u.Role.Role)]
		pos, hint := b.pos, ""
		for _, o := range b.options { // the option that names the sender
			n, given := b.place(o.Name)
			if given && n.Kind == tree.Scalar && n.Text != "" && (n.Text == string(u.Filter.Role) || n.Text == string(u.Filter.Node)) {
				pos = n.Pos
				hint = didYouMean(n.Text, roles)
			}
		}
		c.warn(pos, b.path, hint, fmt.Sprintf("it waits for %s, which never comes: %s", u.Filter, u.Why))
	}
}

// strange warns of nodes with ciphers of their own that others do not have.
func (c *checker) strange(sys *system.System) {
	// However many nodes there are, there are few sets of ciphers.
	first := map[string]*system.Node{}
	var sets []string // in the order of the file
	for _, n := range sys.Nodes {
		set := strings.Join(slices.Compact(slices.Sorted(slices.Values(n.Settings.Cipher))), " ")
		if first[set] == nil {
			first[set] = n
			sets = append(sets, set)
		}
	}
	for _, n := range sys.Nodes {
		b := c.own[n.Name]
		if b == nil {
			continue
		}
		at, given := b.place("cipher")
		if !given {
			continue
		}
		for _, set := range sets {
			other := first[set]
			if !slices.ContainsFunc(n.Settings.Cipher, func(name string) bool { return slices.Contains(other.Settings.Cipher, name) }) {
				c.warn(at.Pos, b.path, "", fmt.Sprintf("cipher: node %q has only %s, so the two can never connect",
					other.Name, strings.Join(other.Settings.Cipher, ", ")))
				break
			}
		}
	}
}
