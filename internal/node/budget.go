package node

import "time"

// budget bounds the lines of the log that somebody outside can cause, who may
// come back under a new name, or with another story, as often as he likes. Its
// owner has the lock.
type budget struct {
	begun time.Time
	spent int
}

const (
	budgetLines = 16
	budgetTime  = time.Hour
)

// spend says whether there is room for one more line.
func (b *budget) spend(now time.Time) bool {
	if now.Sub(b.begun) >= budgetTime {
		b.begun, b.spent = now, 0
	}
	if b.spent == budgetLines {
		return false
	}
	b.spent++
	return true
}
