// Package thermostat is the role of docs/writing-roles.md: it listens to a
// thermometer and switches a heater.
package thermostat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kozo"
)

type options struct {
	Room    string        `option:"room" doc:"Room to keep warm: the channel of its thermometer and of its heater."`
	Target  float64       `option:"target" default:"20" min:"5" max:"30" doc:"Temperature to keep, in degrees Celsius, until somebody orders another one."`
	Band    float64       `option:"band" default:"0.5" min:"0.1" max:"5" doc:"How far the temperature may be from the target before anything is switched."`
	Silence time.Duration `option:"silence" default:"15m" min:"1" doc:"The heater is switched off if the thermometer says nothing for so long."`
}

// Type returns the type of the role, for a registry.
func Type() kozo.RoleType {
	return kozo.DefineRole("thermostat", "Switches the heater of a room by what its thermometer says.", build)
}

func build(o options) (kozo.Role, error) {
	if o.Room == "" {
		return nil, kozo.Errorf("room", "a room has a name, for instance tomatoes")
	}
	return &thermostat{options: o}, nil
}

// thermostat is one role of this type. A new one is made for each run.
type thermostat struct {
	options
	heating bool
}

// Guards: the compiler says when a method is not what an interface wants.
var (
	_ kozo.Role       = (*thermostat)(nil)
	_ kozo.Interested = (*thermostat)(nil)
	_ kozo.Publisher  = (*thermostat)(nil)
)

// Interest says which messages the role wants: what the thermometer of the room
// says, and orders for it.
func (t *thermostat) Interest() []kozo.Filter {
	return []kozo.Filter{
		{Kind: kozo.Event, Type: "temperature", Channel: t.Room},
		{Kind: kozo.Order, Type: "target", Channel: t.Room},
	}
}

// Publishes says what the role sends.
func (t *thermostat) Publishes() []kozo.Filter {
	return []kozo.Filter{{Kind: kozo.Order, Type: "heater", Channel: t.Room}}
}

// Run works until ctx is done. The heater does not stay on without it.
func (t *thermostat) Run(ctx context.Context, env *kozo.Env) error {
	target := t.Target
	err := env.Storage.Load(&target)
	if err != nil && !errors.Is(err, kozo.ErrNoValue) && !errors.Is(err, kozo.ErrNoStorage) {
		return fmt.Errorf("the target cannot be read: %w", err)
	}
	silence := time.NewTimer(t.Silence)
	defer silence.Stop()
	for {
		select {
		case <-ctx.Done():
			return t.heat(env, false)
		case <-silence.C:
			env.Log.Warn("the thermometer says nothing any more", "room", t.Room)
			err = t.heat(env, false)
		case <-env.Inbox.Ready():
			err = t.take(env, &target, silence)
		}
		if err != nil {
			return err
		}
	}
}

// take works off the messages that are there.
func (t *thermostat) take(env *kozo.Env, target *float64, silence *time.Timer) error {
	for {
		m, ok := env.Inbox.TryReceive()
		if !ok {
			return nil
		}
		degrees, err := number(m.Body)
		if err != nil {
			env.Log.Warn("a message makes no sense", "type", m.Type, "from", m.From, "err", err)
			continue
		}
		switch {
		case m.Kind == kozo.Order:
			*target = degrees
			err = env.Storage.Save(degrees)
			if errors.Is(err, kozo.ErrNoStorage) {
				err = nil // then it holds until the node is started again
			}
		case degrees < *target-t.Band:
			err = t.heat(env, true)
		case degrees > *target+t.Band:
			err = t.heat(env, false)
		}
		if m.Kind == kozo.Event {
			silence.Reset(t.Silence)
		}
		if err != nil {
			return err
		}
	}
}

// heat switches the heater, if it is not like that already.
func (t *thermostat) heat(env *kozo.Env, on bool) error {
	if t.heating == on {
		return nil
	}
	t.heating = on
	fmt.Fprintf(env.Out, "%s: heater %s\n", t.Room, map[bool]string{true: "on", false: "off"}[on])
	return env.Order("heater", t.Room, on)
}

// number reads a content that is a number. Whoever sent the message may have put
// anything into it.
func number(b kozo.Body) (float64, error) {
	v, err := b.Value()
	if err != nil {
		return 0, err
	}
	switch v := v.(type) {
	case float64:
		return v, nil
	case int64:
		return float64(v), nil
	}
	return 0, fmt.Errorf("expected a number, found %.40q", b.Text())
}
