package config

import (
	"errors"
	"fmt"
	"slices"

	"kozo"
	"kozo/internal/config/shape"
	"kozo/internal/config/tree"
	"kozo/internal/system"
)

// part is the block of a role or a transport, with the values of its options.
type part struct {
	*block
	typ    string
	common kozo.Values // of the options that every role or transport has
	values kozo.Values // of the options that the type has
	facts
}

// facts are what is known about a type.
type facts struct {
	own      []kozo.Option
	freeForm string // why nothing is known about the options
	program  bool   // the type is not one that the program has itself
	known    bool   // there is such a type on this machine
}

// part reads the block of a role or a transport. find finds out about its type,
// and says whether to go on; what is wrong with it it reports.
func (c *checker) part(at level, e tree.Entry, path string, common []kozo.Option, find func(*part) (facts, bool)) (*part, bool) {
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
	if p.facts, ok = find(p); !ok {
		return nil, false
	}
	for _, o := range p.own {
		if shape.Has(common, o.Name) {
			c.fail(c.where(p.block, "type", ""), path, "it needs another name there", "the type %s describes an option %q, which every block has already", p.typ, o.Name)
			return nil, false
		}
	}
	if p.freeForm != "" || !p.known {
		p.own = free(body, common)
	}
	p.options = slices.Concat(common, p.own)
	all, ok := c.values(p.block, false)
	p.common, p.values = subset(all, common), subset(all, p.own)
	return p, ok
}

// free makes options of whatever stands in a block.
func free(body *tree.Node, common []kozo.Option) []kozo.Option {
	var options []kozo.Option
	for _, e := range body.Entries {
		if !shape.Has(common, e.Key) {
			options = append(options, kozo.Option{Name: e.Key, Type: kozo.TypeAny})
		}
	}
	return options
}

// written returns the options of a program as they stand in the file.
func (p *part) written() kozo.Values {
	values := kozo.Values{}
	for _, o := range free(p.node, nil) {
		if _, common := p.common[o.Name]; common {
			continue
		}
		e, _ := p.node.Get(o.Name)
		values[o.Name], _ = anything(o, e.Value) // never fails
	}
	return values
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
	var t kozo.RoleType
	p, ok := c.part(atRole, e, path, c.shape.Role, func(p *part) (facts, bool) {
		built := false
		if t, built = c.types.Role(p.typ); built {
			return facts{own: t.Options, known: true}, true
		}
		ok := c.program(p, n, n.Settings.RolePath, func(search, imports []string) (found bool, searched []string, err error) {
			t, searched, err = c.types.Programs.Role(p.typ, search, imports)
			return t.Name != "", searched, err
		})
		c.freeForm(p, t.FreeForm)
		return facts{own: t.Options, freeForm: t.FreeForm, program: true, known: t.Name != ""}, ok
	})
	if p == nil {
		return nil
	}
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
		Name: kozo.RoleName(e.Key), Type: p.typ, Description: o.Description, Known: p.known,
		Limits:   kozo.Limits{Length: o.MessageQueueLength, Size: o.MessageQueueSize},
		Inspects: t.Inspects,
	}
	for _, option := range t.Options {
		if option.Secret {
			r.Secret = append(r.Secret, option.Name)
		}
	}
	c.roles[r] = p.block
	if p.program {
		c.written[r] = p.written()
	}
	if !p.known {
		return r
	}
	r.Options, r.Values, r.Late = p.own, p.values, t.LateInterest
	r.New = func() (kozo.Role, error) { return t.New(p.values) }
	c.try(p, func() error {
		role, err := t.New(p.values)
		if err != nil {
			return err
		}
		if i, ok := role.(kozo.Interested); ok {
			r.Interest = i.Interest()
		}
		for _, f := range r.Interest {
			if err := f.Check(); err != nil {
				return fmt.Errorf("it wants messages that there cannot be: %w", err)
			}
		}
		if sender, ok := role.(kozo.Publisher); ok {
			r.Publishes, r.Declares = sender.Publishes(), true
		}
		c.instance(p, role)
		return nil
	})
	return r
}

func (c *checker) transport(e tree.Entry, path string, n *system.Node) *system.Transport {
	var t kozo.TransportType
	p, ok := c.part(atTransport, e, path, c.shape.Transport, func(p *part) (facts, bool) {
		built := false
		if t, built = c.types.Transport(p.typ); built {
			return facts{own: t.Options, known: true}, true
		}
		ok := c.program(p, n, n.Settings.TransportPath, func(search, imports []string) (found bool, searched []string, err error) {
			t, searched, err = c.types.Programs.Transport(p.typ, search, imports)
			return t.Name != "", searched, err
		})
		c.freeForm(p, t.FreeForm)
		return facts{own: t.Options, freeForm: t.FreeForm, program: true, known: t.Name != ""}, ok
	})
	if p == nil || !ok {
		return nil
	}
	out := &system.Transport{Name: e.Key, Type: p.typ, Known: p.known}
	if p.program {
		c.written[out] = p.written()
	}
	if !p.known {
		return out
	}
	out.Options, out.Values = p.own, p.values
	out.New = func(values kozo.Values) (kozo.Transport, error) {
		transport, err := t.New(values)
		if placer, ok := transport.(kozo.Placer); ok && err == nil {
			err = placer.Place(n.Name, e.Key)
		}
		return transport, err
	}
	c.try(p, func() error {
		transport, err := out.New(p.values)
		if err != nil {
			return err
		}
		transport.Endpoints() // so that it fails here, if it does
		out.Transport = transport
		c.instance(p, transport)
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

// instance keeps what an instance takes on its machine and what it warns of.
func (c *checker) instance(p *part, instance any) {
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
