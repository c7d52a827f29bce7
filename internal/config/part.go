package config

import (
	"errors"
	"fmt"
	"slices"

	"kozo"
	"kozo/internal/config/tree"
	"kozo/internal/system"
)

// part is the block of a role or a transport, with the values of its options.
type part struct {
	*block
	typ    string
	common kozo.Values // of the options that every role or transport has
	values kozo.Values // of the options that the type has
}

// part reads the block of a role or a transport. options returns those of a
// type, if there is one with this name.
func (c *checker) part(at level, e tree.Entry, path string, common []kozo.Option, options func(string) ([]kozo.Option, bool)) (*part, bool) {
	body, ok := c.entered(e, path, "options")
	if !ok {
		return nil, false
	}
	p := &part{block: &block{level: at, path: path, pos: e.Pos, node: body}, typ: e.Key}
	if t, given := body.Get("type"); given {
		if t.Value.Kind != tree.Scalar || t.Value.Text == "" {
			c.fail(t.Pos, path, "remove the line if the name of the block is its type", "type: expected the name of a type, found %v", t.Value.Kind)
			return nil, false
		}
		p.typ = t.Value.Text
	}
	own, known := options(p.typ)
	if !known {
		c.unknownType(p)
		return nil, false
	}
	p.options = slices.Concat(common, own)
	all, ok := c.values(p.block, false)
	p.common, p.values = subset(all, common), subset(all, own)
	return p, ok
}

func subset(values kozo.Values, options []kozo.Option) kozo.Values {
	out := kozo.Values{}
	for _, o := range options {
		out[o.Name] = values[o.Name]
	}
	return out
}

func (c *checker) role(e tree.Entry, path string, n *system.Node) *system.Role {
	if e.Key == string(kozo.NodeRole) {
		c.fail(e.Pos, path, "give the role another name", "the name %q is taken: the node itself speaks under it", e.Key)
		return nil
	}
	p, ok := c.part(atRole, e, path, c.shape.Role, func(name string) ([]kozo.Option, bool) {
		t, known := c.types.Role(name)
		return t.Options, known
	})
	if p == nil {
		return nil
	}
	t, _ := c.types.Role(p.typ)
	if t.NeedsStorage && n.RoleStorage == "" {
		c.fail(e.Pos, path, fmt.Sprintf("give node %q a roleStorage, a directory in which it can write", n.Name),
			"a role of type %s keeps things across restarts, and its node has no place for them", t.Name)
	}
	if !ok {
		return nil
	}
	var o system.RoleOptions
	if err := p.common.Decode(&o); err != nil { // every value has its type
		panic(err)
	}
	r := &system.Role{
		Name: kozo.RoleName(e.Key), Type: t.Name, Description: o.Description, Known: true, Values: p.values,
		Limits:   kozo.Limits{Length: o.MessageQueueLength, Size: o.MessageQueueSize},
		Inspects: t.Inspects,
		New:      func() (kozo.Role, error) { return t.New(p.values) },
	}
	for _, option := range t.Options {
		if option.Secret {
			r.Secret = append(r.Secret, option.Name)
		}
	}
	c.try(p, func() error {
		role, err := t.New(p.values)
		if err != nil {
			return err
		}
		if i, ok := role.(kozo.Interested); ok {
			r.Interest = i.Interest()
		}
		if sender, ok := role.(kozo.Publisher); ok {
			r.Publishes, r.Declares = sender.Publishes(), true
		}
		c.note(p, role)
		return nil
	})
	c.roles[r] = p.block
	return r
}

func (c *checker) transport(e tree.Entry, path string) *system.Transport {
	p, ok := c.part(atTransport, e, path, c.shape.Transport, func(name string) ([]kozo.Option, bool) {
		t, known := c.types.Transport(name)
		return t.Options, known
	})
	if p == nil || !ok {
		return nil
	}
	t, _ := c.types.Transport(p.typ)
	out := &system.Transport{Name: e.Key, Type: t.Name, Known: true, Values: p.values}
	c.try(p, func() error {
		transport, err := t.New(p.values)
		if err != nil {
			return err
		}
		transport.Endpoints() // so that it fails here, if it does
		out.Transport = transport
		c.note(p, transport)
		return nil
	})
	return out
}

// try makes an instance of a type. Its errors are reported at the options that
// they name; a panic in it stops nothing else.
func (c *checker) try(p *part, make func() error) {
	defer func() {
		if r := recover(); r != nil {
			c.fail(p.pos, p.path, "this is a mistake in the program, not in the file", "type %s fails with these options: %v", p.typ, r)
		}
	}()
	for _, err := range errorList(make()) {
		if o, ok := errors.AsType[*kozo.OptionError](err); ok && o.Err != nil {
			c.fail(c.where(p.block, o.Option, o.Err.Error()), p.path, "", "%v", o)
			continue
		}
		c.fail(p.pos, p.path, "", "%v", err)
	}
}

// errorList takes joined errors apart.
func errorList(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var list []error
	for _, e := range joined.Unwrap() {
		list = append(list, errorList(e)...)
	}
	return list
}

// note keeps what an instance takes on its machine and what it warns of.
func (c *checker) note(p *part, instance any) {
	if b, ok := instance.(kozo.Binder); ok {
		for _, what := range b.Binds() {
			c.taken = append(c.taken, bind{p.block, what})
		}
	}
	w, ok := instance.(kozo.Warner)
	if !ok {
		return
	}
	for _, warning := range w.Warnings() {
		if warning != nil && warning.Err != nil {
			c.warn(c.where(p.block, warning.Option, warning.Err.Error()), p.path, "", warning.Error())
		}
	}
}
