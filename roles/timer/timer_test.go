package timer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"kozo"
	"kozo/kozotest"
)

func TestTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		role := kozotest.RunRole(t, kozotest.Make(t, Type(), kozo.Values{
			"tick": 1500 * time.Millisecond, "message": "hello",
		}))
		start := time.Now()
		time.Sleep(1499 * time.Millisecond)
		synctest.Wait()
		if n := len(role.Sent()); n != 0 {
			t.Fatalf("%d ticks before the first interval was over", n)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		sent := role.Sent()
		if want := 24 * 3600 * 2 / 3; len(sent) != want {
			t.Fatalf("%d ticks in a day, want %d", len(sent), want)
		}
		for i, m := range sent {
			if drift := m.Time.Sub(start) - time.Duration(i+1)*1500*time.Millisecond; drift != 0 {
				t.Fatalf("tick %d is %v late", i+1, drift)
			}
		}
		if m := sent[0]; m.Kind != kozo.Event || m.Type != "tick" || m.Channel != "" || m.Body.Text() != `{"message":"hello","tick":1.5}` {
			t.Errorf("the tick is %v %s", m, m.Body.Text())
		}
		if err := role.Stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		role := kozotest.RunRole(t, kozotest.Make(t, Type(), nil))
		role.Wait("3 ticks", func() bool { return len(role.Sent()) == 3 })
		if text := role.Sent()[0].Body.Text(); text != `{"tick":1}` {
			t.Errorf("the content is %s", text)
		}
		if d := role.Sent()[2].Time.Sub(role.Sent()[0].Time); d != 2*time.Second {
			t.Errorf("two ticks take %v", d)
		}
	})
}

func TestOptions(t *testing.T) {
	tick := Type().Options[0]
	for text, ok := range map[string]bool{"60": true, "0.5": true, "1ms": true, "0": false, "-1": false, "0.0009": false, "x": false} {
		if _, err := tick.Parse(kozo.Raw{Text: text}); (err == nil) != ok {
			t.Errorf("tick: %s: error %v", text, err)
		}
	}
}

// The machine was asleep, or so busy that ticks were missed: they are left out
// and not caught up with, and the rhythm stays.
func TestNoBurstAfterAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		role := &pausing{Role: kozotest.Make(t, Type(), nil), pause: 10*time.Second + 500*time.Millisecond}
		run := kozotest.RunRole(t, role)
		start := time.Now()
		time.Sleep(20 * time.Second)
		synctest.Wait()
		var at []time.Duration
		for _, m := range run.Sent() {
			at = append(at, m.Time.Sub(start).Round(0))
		}
		// The first tick takes until 11.5 s. One tick had become due by then,
		// and is late; the next ones are on time.
		want := []time.Duration{11500, 11500, 12000, 13000, 14000, 15000, 16000, 17000, 18000, 19000, 20000}
		for i := range want {
			want[i] *= time.Millisecond
			if len(at) != len(want) || at[i] != want[i] {
				t.Fatalf("ticks at %v, want %v", at, want)
			}
		}
	})
}

// pausing is a role whose first message takes its time.
type pausing struct {
	kozo.Role
	pause time.Duration
}

func (p *pausing) Run(ctx context.Context, env *kozo.Env) error {
	slow := *env
	slow.Send = func(m kozo.Message) error {
		time.Sleep(p.pause)
		p.pause = 0
		return env.Send(m)
	}
	return p.Role.Run(ctx, &slow)
}
