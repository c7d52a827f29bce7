package rolehost

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
)

// Messages leave with the name of their role, the time and their number,
// whatever the role wrote there. The numbers go on after a restart.
func TestSendStamps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []kozo.Message
		send := func(_ context.Context, env *kozo.Env) error {
			return errors.Join(env.Send(kozo.Message{
				Kind: kozo.Order, Type: "switch", Channel: "lamp", Body: kozo.Body{1},
				From: kozo.RoleRef{Node: "other", Role: "other"}, Seq: 99, Time: time.Unix(1, 0),
			}), env.Event("tick", nil), errBroken)
		}
		cfg := config(does(send, send, waits).make)
		cfg.Send = func(m *kozo.Message) { sent = append(sent, *m) }
		h := build(t, cfg)
		began := time.Now()
		start(t, h)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(sent) != 4 || h.Status().Sent != 4 {
			t.Fatalf("sent %v, counted %d", sent, h.Status().Sent)
		}
		for i, m := range sent {
			if m.From != ref || m.Seq != uint64(i+1) || m.Time.Before(began) || m.Time.After(began.Add(time.Minute)) {
				t.Errorf("message %d is %+v", i, m)
			}
		}
		if m := sent[0]; m.Kind != kozo.Order || m.Type != "switch" || m.Channel != "lamp" || string(m.Body) != "\x01" {
			t.Errorf("got %+v", m)
		}
	})
}

// What is no message is refused with a reason, goes nowhere and uses up no
// number.
func TestSendRefuses(t *testing.T) {
	sent := 0
	s := &Sender{From: ref, Out: func(*kozo.Message) { sent++ }}
	for _, test := range []struct {
		m    kozo.Message
		want error
	}{
		{kozo.Message{Type: "tick"}, kozo.ErrKind},
		{kozo.Message{Kind: kozo.Event}, kozo.ErrType},
		{kozo.Message{Kind: kozo.Event, Type: strings.Repeat("x", kozo.MaxField+1)}, kozo.ErrField},
		{kozo.Message{Kind: kozo.Event, Type: "\xff"}, kozo.ErrFieldText},
		{kozo.Message{Kind: kozo.Event, Type: "tick", Body: kozo.Body{0xc1}}, kozo.ErrBody},
		{kozo.Message{Kind: kozo.Event, Type: "tick", Body: kozo.Body("\xa1\xff")}, kozo.ErrBodyText},
	} {
		if err := s.Send(test.m); !errors.Is(err, test.want) {
			t.Errorf("%+v: %v, want %v", test.m, err, test.want)
		}
	}
	if sent != 0 || s.Sent() != 0 {
		t.Errorf("%d were sent, %d counted", sent, s.Sent())
	}
	if err := s.Send(event(0)); err != nil || sent != 1 || s.Sent() != 1 {
		t.Errorf("%v; %d were sent, %d counted", err, sent, s.Sent())
	}
}

// Many goroutines of a role may send at once: every number comes exactly once,
// and those of one goroutine in their order.
func TestSendTogether(t *testing.T) {
	const senders, each = 8, 200
	var mu sync.Mutex
	last := map[string]uint64{}
	seen := map[uint64]bool{}
	s := &Sender{From: ref, Out: func(m *kozo.Message) {
		mu.Lock()
		defer mu.Unlock()
		if seen[m.Seq] || m.Seq <= last[m.Type] {
			t.Errorf("%s: number %d after %d", m.Type, m.Seq, last[m.Type])
		}
		seen[m.Seq], last[m.Type] = true, m.Seq
	}}
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for range each {
				if err := s.Send(kozo.Message{Kind: kozo.Event, Type: string(rune('a' + i))}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(seen) != senders*each || s.Sent() != senders*each || !seen[senders*each] {
		t.Errorf("%d numbers, %d counted", len(seen), s.Sent())
	}
}
