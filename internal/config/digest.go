package config

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"reflect"
	"slices"

	"kozo"
	"kozo/internal/system"
)

// digest returns a short hash of a value that encoding/json writes in one way
// only.
func digest(v any) string {
	text, err := json.Marshal(v)
	if err != nil { // values of options are plain
		panic(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// digestSettings adds a digest for each option at the root that is not as if it
// were not given.
func (c *checker) digestSettings(digests map[string]string, values kozo.Values) {
	for _, o := range c.shape.Root {
		def, err := o.DefaultValue()
		if err != nil { // the option was checked when the shape was made
			panic(err)
		}
		if !reflect.DeepEqual(values[o.Name], def) {
			digests[o.Name] = digest(values[o.Name])
		}
	}
}

// digestNode is the digest of a node block. The order of roles means nothing,
// and neither do their descriptions; transports are dialled in their order.
func (c *checker) digestNode(n *system.Node, values, overrides kozo.Values) string {
	type part struct {
		Name, Type string
		Limits     kozo.Limits
		Values     kozo.Values
	}
	var roles, transports []part
	for _, r := range n.Roles {
		roles = append(roles, part{string(r.Name), r.Type, r.Limits, c.meant(r, r.Values)})
	}
	slices.SortFunc(roles, func(a, b part) int { return cmp.Compare(a.Name, b.Name) })
	for _, t := range n.Transports {
		transports = append(transports, part{t.Name, t.Type, kozo.Limits{}, c.meant(t, t.Values)})
	}
	return digest([]any{values, overrides, roles, transports})
}

// meant returns the values of a role or transport by which nodes compare it:
// those that stand in the file if it is a program.
func (c *checker) meant(part any, values kozo.Values) kozo.Values {
	if written, ok := c.written[part]; ok {
		return written
	}
	return values
}
