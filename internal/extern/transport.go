package extern

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"kozo"
	"kozo/internal/extern/carry"
	"kozo/internal/extern/program"
	"kozo/internal/extern/protocol"
	"kozo/internal/extern/talk"
)

// Transport does what Role does, for transports.
func (s *Set) Transport(name string, search, imports []string) (t kozo.TransportType, searched []string, err error) {
	dirs := slices.Concat(search, s.dirs.Transports)
	searched = program.Missing(dirs)
	f, err := s.find(name, protocol.KindTransport, dirs, imports)
	if f == nil || err != nil {
		return t, searched, err
	}
	t = s.transportType(f)
	s.mu.Lock()
	s.transports[name] = t
	s.mu.Unlock()
	return t, searched, nil
}

// TransportFile does what RoleFile does, for transports.
func (s *Set) TransportFile(path string) (kozo.TransportType, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return kozo.TransportType{}, err
	}
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	f, err := s.file(path, name, protocol.KindTransport, nil)
	if err != nil {
		return kozo.TransportType{}, err
	}
	return s.transportType(f), nil
}

func (s *Set) transportType(f *found) kozo.TransportType {
	a := s.asker(f)
	return kozo.TransportType{
		Name: f.Program.Type, Doc: f.doc(), Options: f.Options, FreeForm: f.freeForm,
		New: func(values kozo.Values) (kozo.Transport, error) {
			t := &transport{asker: a, values: values, changed: make(chan struct{})}
			if f.Secure {
				return secured{t}, nil
			}
			return t, nil
		},
	}
}

// Transports returns the types of transports that were found so far, by name.
func (s *Set) Transports() []kozo.TransportType {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.transports), func(a, b kozo.TransportType) int { return strings.Compare(a.Name, b.Name) })
}

// TransportNames does what RoleNames does, for transports.
func (s *Set) TransportNames(search []string) []string {
	return program.List(slices.Concat(search, s.dirs.Transports))
}

// asker returns who asks a program, with what it has answered before.
func (s *Set) asker(f *found) *asker {
	key := keyOf(f.Program)
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.askers[key]
	if a == nil {
		a = &asker{found: f, answers: map[string]json.RawMessage{}}
		s.askers[key] = a
	}
	return a
}

// Close ends the programs that were asked about transports and still run; they
// would end by themselves a moment later.
func (s *Set) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.askers {
		a.close()
	}
}

// transport is one transport that is a program.
type transport struct {
	*asker
	values kozo.Values
	place  protocol.Block
	about  about

	mu      sync.Mutex
	carrier *carry.Carrier // of the run that there is
	err     error          // why there is none; nil before the first one
	changed chan struct{}  // closed and replaced when one of them changes
}

var (
	_ kozo.Transport   = (*transport)(nil)
	_ kozo.Placer      = (*transport)(nil)
	_ kozo.Prioritized = (*transport)(nil)
	_ kozo.Binder      = (*transport)(nil)
	_ kozo.Warner      = (*transport)(nil)
	_ kozo.Seeker      = (*transport)(nil)
	_ kozo.Runner      = (*transport)(nil)
	_ kozo.Secured     = secured{}
)

// Place asks the program what it thinks of the block.
func (t *transport) Place(node kozo.NodeName, name string) error {
	t.place = protocol.Block{
		Node: node, Name: name, Type: t.Program.Type,
		Options: protocol.AppendOptions(nil, t.Options, t.values),
	}
	answer, err := t.ask("about", func(id json.RawMessage) any {
		return protocol.About{Op: "about", ID: id, Block: t.place}
	})
	if err != nil {
		return err
	}
	if t.about, err = parseAbout(answer); err != nil {
		return fmt.Errorf("%s, asked about this block: %w", t.Path, err)
	}
	var errs []error
	for _, e := range t.about.errors {
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// Endpoints returns what the program has answered.
func (t *transport) Endpoints() []string { return slices.Clone(t.about.endpoints) }

// Priority returns what the program has answered.
func (t *transport) Priority() kozo.Priority { return t.about.priority }

// Binds returns what the program has answered.
func (t *transport) Binds() []string { return t.about.binds }

// Warnings returns what the program has answered.
func (t *transport) Warnings() []*kozo.OptionError { return t.about.warnings }

// CanSeek asks the program, if it wants to be asked.
func (t *transport) CanSeek(remote kozo.Remote) bool {
	if !t.CanConnect {
		return remote.Type == t.Program.Type
	}
	answer, err := t.ask("canConnect", func(id json.RawMessage) any {
		return protocol.CanConnect{Op: "canConnect", ID: id, Local: t.place, Remote: blockOf(remote)}
	})
	var can struct{ Can bool }
	return err == nil && json.Unmarshal(answer, &can) == nil && can.Can
}

// blockOf describes the transport of another node, whatever its type is.
func blockOf(r kozo.Remote) protocol.Block {
	switch t := r.Transport.(type) {
	case *transport:
		return t.place
	case secured:
		return t.place
	}
	return protocol.Block{Node: r.Node, Name: r.Name, Type: r.Type, Options: protocol.AppendOptions(nil, nil, r.Values)}
}

// Dial is not used by nodes, since the program needs to know whom it dials.
func (t *transport) Dial(ctx context.Context, env *kozo.TransportEnv, endpoint string) (net.Conn, error) {
	for _, p := range env.Peers {
		if slices.Contains(p.Transport.Endpoints(), endpoint) {
			return t.Seek(ctx, env, p, endpoint)
		}
	}
	return nil, fmt.Errorf("no other node has the endpoint %.80q", endpoint)
}

// Seek asks the program for a connection.
func (t *transport) Seek(ctx context.Context, _ *kozo.TransportEnv, remote kozo.Remote, endpoint string) (net.Conn, error) {
	index := slices.Index(remote.Transport.Endpoints(), endpoint)
	if index < 0 {
		return nil, fmt.Errorf("%s has no endpoint %.80q", remote.Node, endpoint)
	}
	c, err := t.running(ctx)
	if err != nil {
		return nil, err
	}
	return c.Connect(ctx, carry.Target{Endpoint: endpoint, Index: index, Remote: blockOf(remote)})
}

// Listen asks the program to listen.
func (t *transport) Listen(ctx context.Context, _ *kozo.TransportEnv) (net.Listener, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*talk.HelloTimeout)
	defer cancel()
	c, err := t.running(ctx)
	if err != nil {
		return nil, err
	}
	return c.Listen(ctx, t.Program.Type)
}

// running returns the present run. It waits for one that begins.
func (t *transport) running(ctx context.Context) (*carry.Carrier, error) {
	for {
		t.mu.Lock()
		c, err, changed := t.carrier, t.err, t.changed
		t.mu.Unlock()
		var greeted <-chan struct{}
		if c != nil {
			greeted = c.Greeted()
		} else if err != nil {
			return nil, fmt.Errorf("the program does not run: %w", err)
		}
		select {
		case <-greeted:
			return c, nil
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("the program is not ready: %w", ctx.Err())
		}
	}
}

// Run runs the program.
func (t *transport) Run(ctx context.Context, env *kozo.TransportEnv) error {
	cmd, err := t.Command([]string{"KOZO_NODE=" + string(env.Node), "KOZO_NAME=" + t.place.Name})
	if err != nil {
		t.set(nil, err)
		return err
	}
	c := carry.New(carry.Config{Secure: t.Secure, Talk: talk.Config{
		Program: cmd, Log: env.Log, Grease: t.grease,
		Hello: protocol.Hello{
			Op: "hello", Protocol: protocol.Version, Kind: protocol.KindTransport, Mode: protocol.ModeRun,
			Node: env.Node, Name: t.place.Name, Type: t.Program.Type,
			Options: t.place.Options, MaxLine: protocol.MaxLine,
		},
	}})
	t.set(c, nil)
	err = c.Run(ctx)
	t.set(nil, err)
	return err
}

func (t *transport) set(c *carry.Carrier, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.carrier, t.err = c, err
	close(t.changed)
	t.changed = make(chan struct{})
}

// secured is a transport that is a program and says who is at the other end.
type secured struct{ *transport }

// Secure returns what the program has said when it handed the connection over.
func (s secured) Secure(_ context.Context, _ *kozo.TransportEnv, conn net.Conn, _ *kozo.Remote) (net.Conn, kozo.NodeName, error) {
	peer := conn.(*carry.Conn).Peer()
	if peer == "" {
		return nil, "", errors.New(`the program has not said who it is: "peer" is missing in the line with the token`)
	}
	return conn, peer, nil
}
