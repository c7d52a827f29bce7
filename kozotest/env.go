package kozotest

import (
	"bytes"
	"context"
	"encoding/json"
	"sync"

	"kozo"
)

// inbox is a kozo.Inbox that forgets nothing.
type inbox struct {
	change func()
	ready  chan struct{}

	mu      sync.Mutex
	queue   []kozo.Message
	offered uint64
}

var _ kozo.Inbox = (*inbox)(nil)

func newInbox(change func()) *inbox {
	return &inbox{change: change, ready: make(chan struct{}, 1)}
}

func (i *inbox) put(m kozo.Message) {
	i.mu.Lock()
	i.queue = append(i.queue, m)
	i.offered++
	i.mu.Unlock()
	i.wake()
	i.change()
}

func (i *inbox) wake() {
	select {
	case i.ready <- struct{}{}:
	default:
	}
}

func (i *inbox) len() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.queue)
}

func (i *inbox) counts() (offered, queued uint64) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.offered, uint64(len(i.queue))
}

func (i *inbox) Ready() <-chan struct{} { return i.ready }

func (i *inbox) TryReceive() (kozo.Message, bool) {
	i.mu.Lock()
	if len(i.queue) == 0 {
		i.mu.Unlock()
		return kozo.Message{}, false
	}
	m := i.queue[0]
	i.queue = i.queue[1:]
	left := len(i.queue)
	i.mu.Unlock()
	if left > 0 {
		i.wake() // another goroutine may be waiting in Receive
	}
	i.change()
	return m, true
}

func (i *inbox) Receive(ctx context.Context) (kozo.Message, error) {
	for {
		if err := ctx.Err(); err != nil {
			return kozo.Message{}, err
		}
		if m, ok := i.TryReceive(); ok {
			return m, nil
		}
		select {
		case <-i.ready:
		case <-ctx.Done():
		}
	}
}

// Storage is a kozo.Storage in memory.
type Storage struct {
	mu    sync.Mutex
	text  []byte
	fail  error
	saves int
}

var _ kozo.Storage = (*Storage)(nil)

// NewStorage returns a storage that holds nothing.
func NewStorage() *Storage { return &Storage{} }

// Load reads the value as a node's storage does.
func (s *Storage) Load(v any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.fail != nil:
		return s.fail
	case s.text == nil:
		return kozo.ErrNoValue
	}
	return json.Unmarshal(s.text, v)
}

// Save replaces the value as a node's storage does.
func (s *Storage) Save(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saves++
	if s.fail != nil {
		return s.fail
	}
	s.text = text
	return nil
}

// Fail makes loading and saving fail with err from now on; nil makes them work
// again.
func (s *Storage) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = err
}

// Saves returns how often the role has tried to save.
func (s *Storage) Saves() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saves
}

// record is a writer whose text can be read at any moment.
type record struct {
	change func()

	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	n, err := r.text.Write(p)
	r.mu.Unlock()
	r.change()
	return n, err
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}
