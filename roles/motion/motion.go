// Package motion is the role motion-detect, which says whether a sensor on a
// GPIO line sees something move.
package motion

import (
	"context"
	"sync/atomic"
	"time"

	"kozo"
)

// TypeName is what the type of a role block says to get this role.
const TypeName = "motion-detect"

type options struct {
	Pin       string        `option:"pin" default:"18" doc:"line of the sensor's output: a BCM number, as GPIO18 of a Raspberry Pi is 18, or the name of a line"`
	Period    time.Duration `option:"period" default:"0.5" min:"0.01" doc:"time between two events, which say whether there is motion"`
	Log       bool          `option:"log" default:"true" doc:"send a log message when motion starts and stops"`
	Chip      string        `option:"chip" default:"" doc:"GPIO chip of the line: name, label or path; the one of a Raspberry Pi's header if it is not given"`
	Bias      string        `option:"bias" default:"as-is" oneof:"as-is,pull-up,pull-down,disabled" doc:"resistor of the chip that holds the line while nothing drives it"`
	ActiveLow bool          `option:"activeLow" default:"false" doc:"the sensor pulls its line low when it sees motion"`
	Debounce  time.Duration `option:"debounce" default:"0" min:"0" max:"60" doc:"how long the line must rest before a change counts"`
	Edges     bool          `option:"edges" default:"false" doc:"send an event at once when motion starts or stops, and not only every period"`
}

type motion struct {
	options
	open   func(o options, changed func()) (line, error)
	moving atomic.Bool // what was last seen
}

// line is a GPIO line that is read.
type line interface {
	// Active says whether there is motion. The error means that the line has
	// gone, and says what to do.
	Active() (bool, error)
	// Bounces says whether the role must see to it that a change has come to rest.
	Bounces() bool
	Close() error
}

var (
	_ kozo.Role      = (*motion)(nil)
	_ kozo.Publisher = (*motion)(nil)
	_ kozo.Binder    = (*motion)(nil)
	_ kozo.Exposer   = (*motion)(nil)
)

// Type returns the role type.
//
// The content of an event is a map: "motion" says whether there is motion, and
// "pin" is the option of that name.
func Type() kozo.RoleType {
	return kozo.DefineRole(TypeName, "Says whether a motion sensor on a GPIO pin sees something move.",
		func(o options) (kozo.Role, error) {
			if o.Pin == "" {
				return nil, kozo.Errorf("pin", "expected the number or the name of a line")
			}
			return &motion{options: o, open: openLine}, nil
		})
}

// EventType is the type of the events that the role sends.
const EventType = "motion detection"

// Publishes says what the role sends.
func (m *motion) Publishes() []kozo.Filter {
	return []kozo.Filter{{Kind: kozo.Event, Type: EventType}}
}

// Binds names the line, which only one can have.
func (m *motion) Binds() []string { return []string{"gpio " + m.Chip + "/" + m.Pin} }

// calm is the least time between two events of changes, so that a line which
// nothing drives does not keep the processor busy.
const calm = 20 * time.Millisecond

// watch is how often a line is looked at whose changes are reported: one that has
// been unplugged reports nothing any more.
const watch = time.Second

// Run sends events until the line cannot be read any more.
func (m *motion) Run(ctx context.Context, env *kozo.Env) error {
	changed := make(chan struct{}, 1)
	line, err := m.open(m.options, func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	defer line.Close()
	s := &sensor{motion: m, env: env, line: line}
	err = s.look(false)
	if err == nil && m.Edges {
		err = s.send() // whoever waits for changes wants to know what they begin with
	}
	if err != nil {
		return err
	}
	period := time.NewTicker(m.Period)
	defer period.Stop()
	alive := time.NewTicker(watch)
	defer alive.Stop()
	rest := calm
	if line.Bounces() {
		rest = m.Debounce
	}
	var settled <-chan time.Time // when the line may be looked at after a change
	for {
		changes := (<-chan struct{})(changed)
		if settled != nil && !line.Bounces() {
			changes = nil // it waits in the channel
		}
		select {
		case <-ctx.Done():
			return nil
		case <-period.C:
			// A line that bounces right now has the state that it had.
			err = s.report(settled != nil && line.Bounces())
		case <-alive.C:
			err = s.probe()
		case <-changes:
			if !line.Bounces() {
				err = s.look(m.Edges)
			}
			settled = time.After(rest)
		case <-settled:
			settled = nil
			err = s.look(m.Edges)
		}
		if err != nil {
			return err
		}
	}
}

// sensor is a line, and what was last seen on it.
type sensor struct {
	*motion
	env  *kozo.Env
	line line
}

// look reads the line and tells what has changed; with an event if at once.
func (s *sensor) look(atOnce bool) error {
	moving, err := s.line.Active()
	if err != nil || moving == s.moving.Load() {
		return err
	}
	s.moving.Store(moving)
	if s.Log {
		text := "motion on pin %s"
		if !moving {
			text = "no more motion on pin %s"
		}
		if err := s.env.Logf(kozo.Info, text, s.Pin); err != nil {
			return err
		}
	}
	if !atOnce {
		return nil
	}
	return s.send()
}

// report sends the event of a period.
func (s *sensor) report(unsettled bool) error {
	if unsettled {
		if err := s.probe(); err != nil {
			return err
		}
		return s.send()
	}
	if err := s.look(false); err != nil {
		return err
	}
	return s.send()
}

// probe finds out whether the line is still there.
func (s *sensor) probe() error {
	_, err := s.line.Active()
	return err
}

func (s *sensor) send() error {
	return s.env.Event(EventType, map[string]any{"motion": s.moving.Load(), "pin": s.Pin})
}

// Vars shows the state that was last seen.
func (m *motion) Vars() map[string]any {
	return map[string]any{"motion": m.moving.Load()}
}
