package kozo

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// Registry holds the types of roles and transports that a program has. It is
// filled before it is used, and may be read by several goroutines at once.
type Registry struct {
	roles      map[string]RoleType
	transports map[string]TransportType
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{roles: map[string]RoleType{}, transports: map[string]TransportType{}}
}

// AddRole adds a type of role. The error says that its name is no name, or
// taken.
func (r *Registry) AddRole(t RoleType) error {
	if err := CheckName(t.Name); err != nil {
		return fmt.Errorf("role type %q: %w", t.Name, err)
	}
	if _, taken := r.roles[t.Name]; taken {
		return fmt.Errorf("there are two role types named %q", t.Name)
	}
	r.roles[t.Name] = t
	return nil
}

// AddTransport adds a type of transport, as AddRole does.
func (r *Registry) AddTransport(t TransportType) error {
	if err := CheckName(t.Name); err != nil {
		return fmt.Errorf("transport type %q: %w", t.Name, err)
	}
	if _, taken := r.transports[t.Name]; taken {
		return fmt.Errorf("there are two transport types named %q", t.Name)
	}
	r.transports[t.Name] = t
	return nil
}

// Role returns the type of role with a name.
func (r *Registry) Role(name string) (RoleType, bool) {
	t, ok := r.roles[name]
	return t, ok
}

// Transport returns the type of transport with a name.
func (r *Registry) Transport(name string) (TransportType, bool) {
	t, ok := r.transports[name]
	return t, ok
}

// Roles returns all types of roles, by name.
func (r *Registry) Roles() []RoleType {
	return slices.SortedFunc(maps.Values(r.roles), func(a, b RoleType) int { return cmp.Compare(a.Name, b.Name) })
}

// Transports returns all types of transports, by name.
func (r *Registry) Transports() []TransportType {
	return slices.SortedFunc(maps.Values(r.transports), func(a, b TransportType) int { return cmp.Compare(a.Name, b.Name) })
}
