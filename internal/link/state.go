package link

import (
	"errors"
	"math/bits"
	"time"

	"kozo"
	"kozo/internal/status"
	"kozo/internal/wire"
)

// state is what a link tells people about itself. The lock of the link guards
// it.
type state struct {
	word      string
	since     time.Time // of being up, or down
	transport string
	endpoint  string
	rides     bool
	roundTrip time.Duration
	skew      time.Duration
	reason    string
	next      time.Time
	connects  uint64
	targets   []status.Target
	program   string

	quietUntil time.Time     // no more lines about failed attempts before that
	quiet      time.Duration // how long the next silence will be
	brief      uint          // connections in a row that did not last
}

// The words for the state of a link.
const (
	stateUp        = "up"
	stateDialling  = "dialling"
	stateWaiting   = "waiting"
	stateIdle      = "idle"
	stateListening = "listening"
	stateOff       = "off"
)

// A failed attempt is worth a line once the peer has been away for a moment:
// nodes that start together miss each other at first. After it comes a silence,
// and each one is longer: about ten lines for a peer that is away for a day.
const (
	grace         = 2 * time.Second
	firstSilence  = time.Minute
	silenceFactor = 4
)

// A link that comes and goes is worth a line for the first few times, and then
// for the 4th, the 8th, the 16th, … connection in a row that did not last.
const (
	steady    = time.Minute // a connection that lasts so long has lasted
	briefMany = 4
)

func (s *state) comesAndGoes() bool {
	return s.brief > briefMany && bits.OnesCount(s.brief) != 1
}

func (s *state) init(cfg Config) {
	s.word = stateWaiting
	s.since = time.Now()
	for _, t := range cfg.Targets {
		s.targets = append(s.targets, status.Target{Transport: t.Transport, Endpoint: t.Endpoint})
	}
	switch {
	case cfg.Never != "":
		s.word, s.reason = stateOff, cfg.Never
	case cfg.Policy == kozo.Never:
		s.word, s.reason = stateOff, "the policy is never"
	case cfg.Policy == kozo.OnDemand:
		s.word = stateIdle
	}
}

func (s *state) up() bool { return s.word == stateUp }

func (l *Link) setIdle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.word, l.state.next = stateIdle, time.Time{}
}

func (l *Link) setDialling() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state.word, l.state.next = stateDialling, time.Time{}
}

// setWaiting notes that all attempts failed, and logs it ever more rarely. next is
// the time of the next one, or zero if the peer must come first.
func (l *Link) setWaiting(next time.Time, err error) {
	l.mu.Lock()
	s := &l.state
	s.word, s.next = stateWaiting, next
	if next.IsZero() {
		s.word = stateListening
	}
	if err != nil {
		s.reason = err.Error()
	}
	now := time.Now()
	say := err != nil && now.Sub(s.since) >= grace && !now.Before(s.quietUntil)
	if say {
		s.quiet = max(silenceFactor*s.quiet, firstSilence)
		s.quietUntil = now.Add(s.quiet)
	}
	down := now.Sub(s.since).Round(time.Second)
	l.mu.Unlock()
	if say {
		l.cfg.Log.Warn("peer not reached", "reason", err, "down", down)
	}
}

func (l *Link) setTried(target int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	t := &l.state.targets[target]
	t.Tried, t.Error = &now, ""
	if err != nil {
		t.Error = err.Error()
	}
}

func (l *Link) setUp(s *session, hello *wire.Hello) {
	l.mu.Lock()
	st := &l.state
	st.word, st.since, st.reason, st.next = stateUp, time.Now(), "", time.Time{}
	st.transport, st.endpoint, st.rides = s.transport, s.endpoint, s.rides
	st.connects++
	st.program = hello.Program
	st.roundTrip, st.skew = 0, 0
	say := !st.comesAndGoes()
	l.mu.Unlock()
	switch {
	case say && s.rides:
		l.cfg.Log.Info("link up", "by", "the connection that the peer made")
	case say:
		l.cfg.Log.Info("link up", "transport", s.transport, "endpoint", s.endpoint)
	}
}

func (l *Link) setDown(reason error) {
	l.mu.Lock()
	st := &l.state
	now := time.Now()
	if now.Sub(st.since) >= steady {
		st.quietUntil, st.quiet, st.brief = time.Time{}, 0, 0
	} else {
		st.brief++
	}
	say := !st.comesAndGoes() && !errors.Is(reason, ErrStopped) // a line for each peer says nothing then
	st.word, st.since, st.reason = stateWaiting, now, reason.Error()
	st.transport, st.endpoint, st.rides = "", "", false
	l.release()
	l.mu.Unlock()
	if say {
		l.cfg.Log.Info("link down", "reason", reason)
	}
}

// Fill writes what the link knows into a snapshot.
func (l *Link) Fill(out *status.Link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.state
	out.Peer, out.Policy = string(l.cfg.Peer), l.cfg.Policy.String()
	out.State, out.Reason = s.word, s.reason
	out.Transport, out.Endpoint, out.Rides = s.transport, s.endpoint, s.rides
	out.RoundTrip, out.Skew = s.roundTrip.Seconds(), s.skew.Seconds()
	out.Connects = s.connects
	out.PeerVersion = s.program
	if s.word == stateUp || s.word == stateWaiting || s.word == stateDialling || s.word == stateListening {
		since := s.since
		out.Since = &since
	}
	if !s.next.IsZero() {
		next := s.next
		out.NextAttempt = &next
	}
	out.Targets = append([]status.Target(nil), s.targets...)
	if !l.off() {
		l.expire(time.Now())
	}
	out.Out = l.ledger.status(l.outbox.Len(), l.outbox.Kept())
}
