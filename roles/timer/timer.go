// Package timer is the role that sends an event of type "tick" at a regular
// interval.
package timer

import (
	"context"
	"time"

	"kozo"
)

// TypeName is what the type of a role block says to get this role.
const TypeName = "timer"

type options struct {
	Tick    time.Duration `option:"tick" default:"1" min:"0.001" doc:"time between two ticks; the first one comes after one interval"`
	Message string        `option:"message" default:"" doc:"text to put into every tick"`
}

type timer struct{ options }

var (
	_ kozo.Role      = (*timer)(nil)
	_ kozo.Publisher = (*timer)(nil)
)

// Type returns the role type.
//
// The content of a tick is a map: "tick" is the interval in seconds, and
// "message" is the text of the option of that name, if there is one.
func Type() kozo.RoleType {
	return kozo.DefineRole(TypeName, "Sends an event of type tick at a regular interval.",
		func(o options) (kozo.Role, error) { return &timer{o}, nil })
}

// Publishes says that the role sends ticks.
func (t *timer) Publishes() []kozo.Filter {
	return []kozo.Filter{{Kind: kozo.Event, Type: "tick"}}
}

// Run sends ticks. A [time.Ticker] is all that it takes: it goes by the
// monotonic clock, keeps its phase, and leaves out the ticks for which the
// machine was too busy or asleep.
func (t *timer) Run(ctx context.Context, env *kozo.Env) error {
	data := map[string]any{"tick": t.Tick.Seconds()}
	if t.Message != "" {
		data["message"] = t.Message
	}
	tick, err := kozo.NewEvent("tick", data)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(t.Tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := env.Send(tick); err != nil {
				return err
			}
		}
	}
}
