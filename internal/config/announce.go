package config

import (
	"fmt"
	"maps"
	"slices"

	"kozo"
	"kozo/internal/config/shape"
	"kozo/internal/config/tree"
	"kozo/internal/system"
)

// Announce writes into a configuration the options of transports that only their
// nodes can know ([kozo.Announcer]), as ask returns them. ask is called for each
// such transport; no values mean that nothing is changed.
func Announce(name string, data []byte, types Types, ask func(*system.System, *system.Node, *system.Transport) (kozo.Values, error)) ([]byte, error) {
	file, err := Parse(name, data, types)
	if err != nil {
		return nil, err
	}
	draft, err := tree.NewDraft(data)
	if err != nil {
		return nil, err
	}
	for _, n := range file.System.Nodes {
		for _, t := range n.Transports {
			if _, ok := t.Transport.(kozo.Announcer); !ok {
				continue
			}
			values, err := ask(file.System, n, t)
			if err != nil {
				return nil, fmt.Errorf("transport %s of %s: %w", t.Name, n.Name, err)
			}
			for _, option := range slices.Sorted(maps.Keys(values)) {
				draft.Set(values[option], shape.SystemKey, string(n.Name), shape.TransportsKey, t.Name, option)
			}
		}
	}
	return draft.Bytes()
}
