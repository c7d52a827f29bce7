package node

import (
	"net"
	"slices"
	"sync"
	"time"

	"kozo/internal/secure"
	"kozo/internal/status"
)

// knocks remembers the last few strangers.
type knocks struct {
	mu    sync.Mutex
	seen  []status.Stranger // the oldest first
	lines budget
}

const (
	knocksMost  = 16        // strangers to remember
	knocksQuiet = time.Hour // before the same stranger is worth another line
)

// add notes a stranger, and says whether to log it.
func (k *knocks) add(s *secure.Stranger) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	return !k.note(s, now) && k.lines.spend(now)
}

// note says whether the same stranger was there not long ago.
func (k *knocks) note(s *secure.Stranger, now time.Time) bool {
	host := s.Address
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	key := s.Key.Line()
	for i := range k.seen {
		if e := &k.seen[i]; e.Name == s.Name && e.Key == key && e.Reason == s.Reason {
			recent := now.Sub(e.Last) < knocksQuiet
			e.Address, e.Last = host, now
			e.Count++
			return recent
		}
	}
	if len(k.seen) == knocksMost {
		k.seen = slices.Delete(k.seen, 0, 1)
	}
	k.seen = append(k.seen, status.Stranger{
		Address: host, Name: s.Name, Key: key, Reason: s.Reason, Count: 1, Last: now,
	})
	return false
}

func (k *knocks) list() []status.Stranger {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.seen)
}
