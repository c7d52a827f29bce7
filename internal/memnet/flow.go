package memnet

import (
	"syscall"
	"time"
)

// settle lets everything arrive, in order, that is due, and returns when the next thing
// will be, if anything.
func (f *flow) settle(now time.Time) (next time.Time) {
	if f.Frozen || f.dead {
		return time.Time{}
	}
	for len(f.transit) > 0 {
		if f.transit[0].due.After(now) {
			return f.transit[0].due
		}
		f.arrived.Write(f.transit[0].data)
		f.transit = f.transit[1:]
	}
	if f.endErr != nil && f.arrival == nil {
		if f.endDue.After(now) {
			return f.endDue
		}
		f.arrival = f.endErr
	}
	return time.Time{}
}

// send puts bytes on the line, behind those that are on it.
func (f *flow) send(b []byte, now time.Time) {
	f.size += len(b)
	due := f.due(len(b), now)
	if n := len(f.transit); n > 0 && f.transit[n-1].due.Equal(due) {
		f.transit[n-1].data = append(f.transit[n-1].data, b...)
		return
	}
	f.transit = append(f.transit, piece{append([]byte(nil), b...), due})
}

// due returns when something that is sent now arrives.
func (f *flow) due(size int, now time.Time) time.Time {
	if f.free.Before(now) {
		f.free = now
	}
	if f.Bandwidth > 0 {
		f.free = f.free.Add(time.Duration(size) * time.Second / time.Duration(f.Bandwidth))
	}
	return f.free.Add(f.Latency)
}

// finish ends the stream, if it has not ended.
func (f *flow) finish(err error, now time.Time) {
	if f.endErr == nil {
		f.endErr, f.endDue = err, f.due(0, now)
	}
}

// drop forgets what was not read.
func (f *flow) drop() {
	f.arrived.Reset()
	f.transit, f.size = nil, 0
}

// Shape sets how the connection carries what this end sends from now on. What
// is on its way keeps the time of its arrival.
func (c *Conn) Shape(with Conditions) {
	c.change(func() { c.out().Conditions = with })
}

// Freeze stops the arrival of what this end sends, or lets it go on. The buffer
// fills, and then writers block.
func (c *Conn) Freeze(frozen bool) {
	c.change(func() { c.out().Frozen = frozen })
}

// BlackHole makes everything vanish that this end sends from now on, and what is
// on its way, for ever. Writes succeed, but the other end hears nothing any more,
// not even an end.
func (c *Conn) BlackHole() {
	c.change(func() {
		f := c.out()
		f.dead = true
		f.transit, f.size = nil, f.arrived.Len()
	})
}

// Reset cuts the connection: both ends get a reset at once, as if a router had
// sent it, and what was not read is lost.
func (c *Conn) Reset() {
	c.change(func() {
		for i := range c.pair.ends {
			c.pair.ends[i].reset = true
			c.pair.out[i].drop()
			c.pair.out[i].finish(syscall.ECONNRESET, time.Now())
		}
	})
}

// change changes the state of the pair after everything has arrived that would
// have arrived without the change.
func (c *Conn) change(f func()) {
	p := c.pair
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.out[0].settle(now)
	p.out[1].settle(now)
	f()
	p.cond.Broadcast()
}

// open says whether neither end has closed or reset the connection.
func (p *pair) open() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.ends {
		if p.ends[i].closed || p.ends[i].reset {
			return false
		}
	}
	return true
}
