package kozo_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"kozo"
)

type greeterOptions struct {
	Name  string `option:"name" doc:"whom to greet"`
	Times int    `option:"times" default:"2" min:"1"`
}

type greeter struct {
	kozo.Role
	greeterOptions
}

var errRude = errors.New("nobody is called that")

func newGreeter(o greeterOptions) (kozo.Role, error) {
	if o.Name == "you" {
		return nil, errRude
	}
	return &greeter{greeterOptions: o}, nil
}

func TestDefineRole(t *testing.T) {
	typ := kozo.DefineRole("greeter", "greets", newGreeter)
	if typ.Name != "greeter" || typ.Doc != "greets" || len(typ.Options) != 2 || typ.NeedsStorage {
		t.Errorf("got %+v", typ)
	}
	role, err := typ.New(kozo.Values{"name": "world"})
	if err != nil || role.(*greeter).greeterOptions != (greeterOptions{"world", 2}) {
		t.Errorf("got %+v, %v", role, err)
	}
	if role, err := typ.New(kozo.Values{"name": "you"}); !errors.Is(err, errRude) || role != nil {
		t.Errorf("got %v, %v", role, err)
	}
	role, err = typ.New(nil)
	if o, ok := errors.AsType[*kozo.OptionError](err); !ok || o.Option != "name" || role != nil {
		t.Errorf("got %v, %v", role, err)
	}
	mustPanic(t, "option \"i\"", func() {
		kozo.DefineRole("bad", "", func(struct {
			I int `option:"i" default:"x"`
		}) (kozo.Role, error) {
			return nil, nil
		})
	})
}

type carrier struct {
	kozo.Transport
	name string
}

type pigeon struct{ carrier }

func (pigeon) Priority() kozo.Priority { return kozo.Worst }

func TestDefineTransport(t *testing.T) {
	typ := kozo.DefineTransport("carrier", "carries", func(o greeterOptions) (kozo.Transport, error) {
		return carrier{name: o.Name}, nil
	})
	tr, err := typ.New(kozo.Values{"name": "a"})
	if err != nil || tr.(carrier).name != "a" || typ.Name != "carrier" || typ.Doc != "carries" || len(typ.Options) != 2 {
		t.Errorf("got %+v, %+v, %v", typ, tr, err)
	}
	if tr, err := typ.New(nil); err == nil || tr != nil {
		t.Errorf("got %v, %v", tr, err)
	}
	mustPanic(t, "and int is none", func() {
		kozo.DefineTransport("bad", "", func(int) (kozo.Transport, error) { return nil, nil })
	})
	if p, q := kozo.PriorityOf(tr), kozo.PriorityOf(pigeon{}); p != kozo.Fair || q != kozo.Worst {
		t.Errorf("priorities %d and %d", p, q)
	}
}

func mustPanic(t *testing.T, want string, fn func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if err, ok := recover().(error); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("the panic says %v, not %s", err, want)
		}
	}()
	fn()
}

func TestRegistry(t *testing.T) {
	r := kozo.NewRegistry()
	for _, name := range []string{"timer", "cuckoo", "logger"} {
		if err := r.AddRole(kozo.RoleType{Name: name, Doc: "the role " + name}); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"tcp", "timer"} { // a role may have the same name
		if err := r.AddTransport(kozo.TransportType{Name: name, Doc: "the transport " + name}); err != nil {
			t.Error(err)
		}
	}
	for _, test := range []struct {
		err  error
		want string
	}{
		{r.AddRole(kozo.RoleType{Name: "timer"}), `there are two role types named "timer"`},
		{r.AddRole(kozo.RoleType{}), `role type "": a name cannot be empty`},
		{r.AddTransport(kozo.TransportType{Name: "tcp"}), `there are two transport types named "tcp"`},
		{r.AddTransport(kozo.TransportType{Name: "a b"}), `transport type "a b": a name has only letters, digits, '-', '_' and '.', not ' '`},
	} {
		if test.err == nil || test.err.Error() != test.want {
			t.Errorf("got %v, want %s", test.err, test.want)
		}
	}
	var roles, transports []string
	for _, typ := range r.Roles() {
		roles = append(roles, typ.Doc)
	}
	for _, typ := range r.Transports() {
		transports = append(transports, typ.Doc)
	}
	if want := []string{"the role cuckoo", "the role logger", "the role timer"}; !reflect.DeepEqual(roles, want) {
		t.Errorf("got %v", roles)
	}
	if want := []string{"the transport tcp", "the transport timer"}; !reflect.DeepEqual(transports, want) {
		t.Errorf("got %v", transports)
	}
	if typ, ok := r.Role("timer"); !ok || typ.Doc != "the role timer" {
		t.Errorf("got %+v, %v", typ, ok)
	}
	if typ, ok := r.Transport("timer"); !ok || typ.Doc != "the transport timer" {
		t.Errorf("got %+v, %v", typ, ok)
	}
	if _, ok := r.Role("tcp"); ok {
		t.Error("there is a role tcp")
	}
	if _, ok := r.Transport("cuckoo"); ok {
		t.Error("there is a transport cuckoo")
	}
}

func TestEnvSends(t *testing.T) {
	var sent []kozo.Message
	refusal := errors.New("not now")
	var answer error
	env := &kozo.Env{Send: func(m kozo.Message) error { sent = append(sent, m); return answer }}
	for _, test := range []struct {
		send func() error
		want kozo.Message
		text string
	}{
		{func() error { return env.Event("tick", nil) }, kozo.Message{Kind: kozo.Event, Type: "tick"}, ""},
		{func() error { return env.Event("tick", 7) }, kozo.Message{Kind: kozo.Event, Type: "tick"}, "7"},
		{
			func() error { return env.Order("switch", "lamp", true) },
			kozo.Message{Kind: kozo.Order, Type: "switch", Channel: "lamp"}, "true",
		},
		{func() error { return env.Logf(kozo.Warn, "%d %s", 3, "left") }, kozo.Message{Kind: kozo.Log, Type: "warn"}, "3 left"},
		{func() error { return env.Logf("", "100%%") }, kozo.Message{Kind: kozo.Log}, "100%"},
	} {
		sent = nil
		if answer = nil; test.send() != nil || len(sent) != 1 || sent[0].Body.Text() != test.text {
			t.Errorf("sent %v", sent)
			continue
		}
		if sent[0].Body = nil; !reflect.DeepEqual(sent[0], test.want) {
			t.Errorf("sent %+v, not %+v", sent[0], test.want)
		}
		if answer = refusal; !errors.Is(test.send(), refusal) {
			t.Errorf("%+v: the refusal is lost", test.want)
		}
	}
	sent = nil
	if env.Event("tick", make(chan int)) == nil || env.Order("switch", "", func() {}) == nil || len(sent) > 0 {
		t.Errorf("what cannot be packed was sent: %v", sent)
	}
}

// shelf is an inbox that has everything already.
type shelf struct{ messages []kozo.Message }

func (s *shelf) Receive(ctx context.Context) (kozo.Message, error) {
	if m, ok := s.TryReceive(); ok {
		return m, nil
	}
	<-ctx.Done()
	return kozo.Message{}, ctx.Err()
}

func (s *shelf) TryReceive() (kozo.Message, bool) {
	if len(s.messages) == 0 {
		return kozo.Message{}, false
	}
	m := s.messages[0]
	s.messages = s.messages[1:]
	return m, true
}

func (s *shelf) Ready() <-chan struct{} { return nil }

func TestEnvMessages(t *testing.T) {
	full := &shelf{messages: []kozo.Message{{Seq: 1}, {Seq: 2}, {Seq: 3}}}
	env := &kozo.Env{Inbox: full}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for m := range env.Messages(ctx) {
		if m.Seq != 1 {
			t.Errorf("first came %d", m.Seq)
		}
		break // takes no more than it gives
	}
	var got []uint64
	for m := range env.Messages(ctx) {
		if got = append(got, m.Seq); len(got) == 2 {
			cancel()
		}
	}
	if !reflect.DeepEqual(got, []uint64{2, 3}) {
		t.Errorf("then came %v", got)
	}
}
