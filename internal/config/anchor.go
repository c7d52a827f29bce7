package config

import (
	"path/filepath"

	"kozo"
	"kozo/internal/system"
)

// anchor makes the relative paths of a system start in the directory of its
// file, wherever the program is started. The digests are left as they are: the
// file can be in another place on each node.
func anchor(sys *system.System, dir string) error {
	anchorSettings(&sys.Settings, dir)
	for _, n := range sys.Nodes {
		anchorSettings(&n.Settings, dir)
		n.PrivateKey, n.RoleStorage = from(dir, n.PrivateKey), from(dir, n.RoleStorage)
		for _, r := range n.Roles {
			anchorValues(r.Values, dir) // New looks at them when it is called
		}
		for _, t := range n.Transports {
			if !anchorValues(t.Values, dir) || !t.Known {
				continue
			}
			instance, err := t.New(t.Values)
			if err != nil {
				return err
			}
			t.Transport = instance
		}
	}
	return nil
}

// from returns a path that starts in dir if it is relative. An empty one stays
// empty.
func from(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func anchorSettings(s *system.Settings, dir string) {
	for _, list := range []*kozo.Paths{&s.RolePath, &s.TransportPath, &s.ImportPath} {
		*list = fromAll(dir, *list)
	}
}

func fromAll(dir string, list kozo.Paths) kozo.Paths {
	var out kozo.Paths
	for _, path := range list {
		out = append(out, from(dir, path))
	}
	return out
}

// anchorValues says whether there was anything to do.
func anchorValues(values kozo.Values, dir string) (changed bool) {
	for name, v := range values {
		switch v := v.(type) {
		case kozo.Path:
			if p := kozo.Path(from(dir, string(v))); p != v {
				values[name], changed = p, true
			}
		case kozo.Paths:
			if len(v) > 0 {
				values[name], changed = fromAll(dir, v), true
			}
		}
	}
	return changed
}
