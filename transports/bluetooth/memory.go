package bluetooth

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// How long what was learnt about devices is believed.
const (
	searchPause   = 30 * time.Second // between two searches
	strangerPause = 10 * time.Minute // before a device that has no such service is asked again
	maxStrangers  = 512
)

// memory is what a transport remembers of the devices around it.
type memory struct {
	radio chan struct{} // who has it may use the radio: one at a time is what it can

	mu        sync.Mutex
	searched  time.Time            // when the last search ended that found nothing new
	strangers map[string]time.Time // when a device was found not to have a service, by address and uuid
	tried     map[string]time.Time // when a device was last dialled, likewise
}

func (m *memory) init() {
	m.radio = make(chan struct{}, 1)
	m.strangers, m.tried = map[string]time.Time{}, map[string]time.Time{}
}

// tooSoon says if there should not be a search again yet.
func (m *memory) tooSoon(now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if since := now.Sub(m.searched); !m.searched.IsZero() && since < searchPause {
		return fmt.Errorf("a search %s ago has not found it; the next one is in %s", round(since), round(searchPause-since))
	}
	return nil
}

func round(d time.Duration) time.Duration { return max(d.Round(time.Second), time.Second) }

func (m *memory) searchedAt(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.searched = now
}

// isStranger says if a device was found not to have a service a while ago.
func (m *memory) isStranger(address, uuid string, now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, ok := m.strangers[address+"/"+uuid]
	return ok && now.Sub(at) < strangerPause
}

func (m *memory) strangerAt(address, uuid string, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	note(m.strangers, address+"/"+uuid, now)
}

func (m *memory) triedAt(address, uuid string, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	note(m.tried, address+"/"+uuid, now)
}

// note remembers when something happened, and forgets the oldest of too many.
func note(when map[string]time.Time, key string, now time.Time) {
	when[key] = now
	if len(when) <= maxStrangers {
		return
	}
	oldest := key
	for k, at := range when {
		if at.Before(when[oldest]) {
			oldest = k
		}
	}
	delete(when, oldest)
}

// inTurn sorts addresses: those that were not tried for longest come first. So,
// where nodes have the same uuid, each gets its turn.
func (m *memory) inTurn(addresses []string, uuid string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	slices.SortStableFunc(addresses, func(a, b string) int {
		return m.tried[a+"/"+uuid].Compare(m.tried[b+"/"+uuid])
	})
}
