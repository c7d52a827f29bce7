// Package cuckoo is the role that prints the ticks of timers, and remembers the
// last one across restarts.
package cuckoo

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"kozo"
)

// TypeName is what the type of a role block says to get this role.
const TypeName = "cuckoo"

// saveEvery spares the flash memory of small computers: the last cuckoo is
// stored at once if nothing was stored for this long, and otherwise when the
// time is over or the role ends. A kill or a power cut loses no more than this.
const saveEvery = 10 * time.Second

// maxText is how much of what a tick says is printed and stored, in bytes.
const maxText = 1000

type options struct {
	Timer string `option:"timer" default:"" doc:"name of the role to listen to; empty for all timers of the system"`
}

type cuckoo struct{ options }

var (
	_ kozo.Role       = (*cuckoo)(nil)
	_ kozo.Interested = (*cuckoo)(nil)
	_ kozo.Publisher  = (*cuckoo)(nil)
)

// Type returns the role type.
func Type() kozo.RoleType {
	t := kozo.DefineRole(TypeName, "Prints the ticks of timers, and remembers the last one across restarts.", newCuckoo)
	t.NeedsStorage = true
	return t
}

func newCuckoo(o options) (kozo.Role, error) {
	if o.Timer != "" {
		if err := kozo.CheckName(o.Timer); err != nil {
			return nil, kozo.Errorf("timer", "%q cannot be the name of a role: %w", o.Timer, err)
		}
	}
	return &cuckoo{o}, nil
}

// Interest asks for ticks, whatever the type of the role that sends them.
func (c *cuckoo) Interest() []kozo.Filter {
	return []kozo.Filter{{Kind: kozo.Event, Type: "tick", Role: kozo.RoleName(c.Timer)}}
}

// Publishes says that the role sends nothing.
func (c *cuckoo) Publishes() []kozo.Filter { return []kozo.Filter{} }

// memory is what is stored: the last cuckoo, and how many there have been.
type memory struct {
	From  string    `json:"from"`
	At    time.Time `json:"at"` // by the clock of this node
	Text  string    `json:"text,omitempty"`
	Count uint64    `json:"count"`
}

// Run prints ticks.
func (c *cuckoo) Run(ctx context.Context, env *kozo.Env) error {
	last, keeps := recall(env)
	var (
		due    <-chan time.Time // when to save
		dirty  bool
		saved  time.Time // zero: not yet
		failed bool      // the last attempt
	)
	save := func() {
		if !dirty || !keeps {
			return
		}
		saved, due = time.Now(), nil
		err := env.Storage.Save(last)
		if err != nil && !failed {
			env.Log.Error("cannot store the last cuckoo", "err", err)
		} else if err == nil && failed {
			env.Log.Info("the last cuckoo is stored again")
		}
		failed, dirty = err != nil, err != nil
	}
	handle := func(m kozo.Message) {
		last = memory{From: m.From.String(), At: time.Now(), Text: short(text(m.Body)), Count: last.Count + 1}
		fmt.Fprintf(env.Out, "cuckoo! tick from %s at %s%s\n",
			kozo.Printable(last.From), last.At.Format("15:04:05"), tail(last.Text))
		dirty = true
		switch wait := saveEvery - time.Since(saved); {
		case wait <= 0:
			save()
		case due == nil:
			due = time.After(wait)
		}
	}
	defer save()
	for {
		// Before anything else: an instance that has failed may have left some.
		for ctx.Err() == nil {
			m, ok := env.Inbox.TryReceive()
			if !ok {
				break
			}
			handle(m)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-due:
			save()
		case <-env.Inbox.Ready():
		}
	}
}

// recall loads the last cuckoo and says which one it was. When the stored value
// cannot be read, it is left for a person to look at: the role works without a
// memory then, rather than not at all.
func recall(env *kozo.Env) (last memory, keeps bool) {
	switch err := env.Storage.Load(&last); {
	case errors.Is(err, kozo.ErrNoValue):
		return memory{}, true
	case err != nil:
		env.Log.Error("cannot remember the last cuckoo, and will not store the next ones", "err", err)
		return memory{}, false
	}
	fmt.Fprintf(env.Out, "last cuckoo before the restart: tick from %s at %s, number %d%s\n",
		kozo.Printable(last.From), last.At.Local().Format(time.DateTime), last.Count, tail(last.Text))
	return last, true
}

// text returns what a tick says: the message of a timer, or the whole content
// of a tick that somebody else made.
func text(body kozo.Body) string {
	v, err := body.Value()
	if err != nil {
		return body.Text()
	}
	fields, ok := v.(map[string]any)
	if !ok {
		return body.Text()
	}
	if message, ok := fields["message"].(string); ok {
		return message
	}
	if _, plain := fields["tick"]; plain && len(fields) == 1 {
		return ""
	}
	return body.Text()
}

// short cuts a text that is too long at the end of a character.
func short(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

func tail(text string) string {
	if text == "" {
		return ""
	}
	return ": " + kozo.Printable(text)
}
