// Package debugger is the role that opens a debugging session when an order of
// type "debug" arrives: an SSH server through which a person sees what the node
// is doing, and attaches Delve if it is installed.
//
// Everybody who asks for a session must be able to prove who they are: with the
// key of a node of the network, or with the password if there is one. There is
// none by default. The order itself opens nothing but the door.
package debugger

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"kozo"
	"kozo/roles/debugger/internal/door"
)

// TypeName is what the type of a role block says to get this role.
const TypeName = "debugger"

type options struct {
	Password    string        `option:"password" default:"" secret:"true" doc:"password of a session; without one, only the keys of the network's nodes are accepted"`
	AllowRemote bool          `option:"allowRemote" default:"true" doc:"let people attach from other machines, and not from this one alone"`
	Timeout     time.Duration `option:"debugTimeout" default:"600" min:"1" max:"604800" doc:"how long a session waits for somebody to attach"`
	Channel     string        `option:"channel" default:"" doc:"channel of the debug orders that are meant for this role; empty for all debug orders"`
	Log         bool          `option:"log" default:"true" doc:"send a log message when a session opens and closes, and for each attempt to attach"`
	Port        int           `option:"port" default:"0" min:"0" max:"65535" doc:"TCP port of a session; 0 for one that is free, which the log message names"`
}

type debugger struct{ options }

var (
	_ kozo.Role       = (*debugger)(nil)
	_ kozo.Interested = (*debugger)(nil)
	_ kozo.Publisher  = (*debugger)(nil)
	_ kozo.Binder     = (*debugger)(nil)
	_ kozo.Warner     = (*debugger)(nil)
)

// Type returns the role type.
func Type() kozo.RoleType {
	t := kozo.DefineRole(TypeName,
		"Opens a debugging session, to which people attach with ssh, when an order of type debug arrives.",
		func(o options) (kozo.Role, error) { return &debugger{o}, nil })
	t.Inspects = true
	t.Helper = door.Run
	return t
}

// Interest says that the role wants debug orders.
func (d *debugger) Interest() []kozo.Filter {
	return []kozo.Filter{{Kind: kozo.Order, Type: "debug", Channel: d.Channel}}
}

// Publishes says that the role sends nothing but log messages.
func (d *debugger) Publishes() []kozo.Filter { return []kozo.Filter{} }

func (d *debugger) address() string {
	host := "127.0.0.1"
	if d.AllowRemote {
		host = ""
	}
	return net.JoinHostPort(host, strconv.Itoa(d.Port))
}

// Binds names the port of a session, if it is always the same.
func (d *debugger) Binds() []string {
	if d.Port == 0 {
		return nil
	}
	return []string{"tcp " + d.address()}
}

// Warnings warns of passwords that can be guessed.
func (d *debugger) Warnings() []*kozo.OptionError {
	switch {
	case d.Password == "kozo":
		return []*kozo.OptionError{kozo.Errorf("password", "everybody knows this password; choose another one, or none, so that only the keys of the nodes are accepted")}
	case d.Password != "" && len(d.Password) < 8 && d.AllowRemote:
		return []*kozo.OptionError{kozo.Errorf("password", "a password of less than 8 characters can be guessed by anybody who reaches this machine; make it longer, or set allowRemote to false")}
	}
	return nil
}

// repeat bounds how often is said that a session is open already, whoever keeps
// asking.
const repeat = 10 * time.Second

// Run opens a session for an order, one at a time.
func (d *debugger) Run(ctx context.Context, env *kozo.Env) error {
	say := func(level, format string, args ...any) {
		if d.Log {
			_ = env.Logf(level, format, args...) // it is a message: Logf has made it
		}
		if level == kozo.Info {
			env.Log.Info(fmt.Sprintf(format, args...))
		} else {
			env.Log.Warn(fmt.Sprintf(format, args...))
		}
	}
	var s *session
	var told time.Time // that it is open
	for {
		for ctx.Err() == nil {
			m, ok := env.Inbox.TryReceive()
			if !ok {
				break
			}
			who := kozo.Printable(m.From.String())
			if s != nil {
				if told.IsZero() || time.Since(told) >= repeat {
					told = time.Now()
					say(kozo.Info, "%s asks for a debugging session, and one is open: %s", who, s.how)
				}
				continue
			}
			opened, err := d.open(ctx, env, say)
			if err != nil {
				say(kozo.Error, "%s asks for a debugging session, which cannot be opened: %v", who, err)
				continue
			}
			s, told = opened, time.Time{}
			say(kozo.Info, "a debugging session is open for %v, since %s asks for it: %s", d.Timeout, who, s.how)
		}
		var closed <-chan struct{}
		if s != nil {
			closed = s.closed
		}
		select {
		case <-ctx.Done():
			if s != nil {
				<-s.closed
			}
			return nil
		case <-closed:
			say(kozo.Info, "the debugging session is closed: %s", s.why)
			s = nil
		case <-env.Inbox.Ready():
		}
	}
}
