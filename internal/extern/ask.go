package extern

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"kozo"
	"kozo/internal/extern/protocol"
	"kozo/internal/extern/talk"
)

const (
	questionTime = 10 * time.Second       // for a run that answers questions
	questionRest = 500 * time.Millisecond // after the last one, until the run ends
)

// asker asks a program about transports of any node. It runs the program when
// there is a question, for a moment, and asks each question once.
type asker struct {
	*found

	mu      sync.Mutex
	run     *questions
	last    int
	answers map[string]json.RawMessage // by question
}

// questions is one run of a program that answers them.
type questions struct {
	talk *talk.Talk
	over chan struct{} // closed when the program has ended
	err  error         // why; after over
	rest *time.Timer   // ends the run when no question follows
	stop context.CancelFunc

	mu     sync.Mutex
	open   string              // the id of the question without an answer; empty if there is none
	answer chan *protocol.Line // has room for the one answer to a question
}

// ask asks a question and returns the whole answer. line makes it, with its
// number. The error is in the words of the program, or says what it does wrong.
func (a *asker) ask(op string, line func(id json.RawMessage) any) (json.RawMessage, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := string(protocol.Append(nil, line(json.RawMessage("0"))))
	if answer, ok := a.answers[key]; ok {
		return answer, nil
	}
	var err error
	for range 2 { // a run may end, since its time is over, just when it is asked
		fresh := a.run == nil
		if fresh {
			if a.run, err = a.start(); err != nil {
				return nil, err
			}
		}
		a.last++
		id := strconv.Itoa(a.last)
		var l *protocol.Line
		l, err = a.run.ask(op, id, line(json.RawMessage(id)))
		if err == nil {
			a.run.rest.Reset(questionRest)
			if l.Op == "error" {
				return nil, errors.New(kozo.Printable(l.Text))
			}
			a.answers[key] = l.Raw
			return l.Raw, nil
		}
		a.run.end()
		a.run = nil
		if fresh {
			break
		}
	}
	return nil, fmt.Errorf("%s, asked %q: %w", a.Path, op, err)
}

func (a *asker) start() (*questions, error) {
	cmd, err := a.Command(nil)
	if err != nil {
		return nil, err
	}
	q := &questions{answer: make(chan *protocol.Line, 1), over: make(chan struct{})}
	q.talk = talk.New(talk.Config{
		Program: cmd, Log: slog.New(slog.DiscardHandler), Grease: a.grease,
		Hello: protocol.Hello{
			Op: "hello", Protocol: protocol.Version, Kind: protocol.KindTransport, Mode: protocol.ModeQuery,
			Type: a.Program.Type, MaxLine: protocol.MaxLine,
		},
		Greet: func(*protocol.Line) error { return nil },
		Hear:  q.hear,
	})
	ctx, cancel := context.WithTimeout(context.Background(), questionTime)
	q.stop = cancel
	q.rest = time.AfterFunc(questionRest, cancel)
	q.rest.Stop() // until there was an answer
	go func() {
		defer close(q.over)
		_, q.err = q.talk.Run(ctx)
	}()
	return q, nil
}

func (q *questions) hear(l *protocol.Line) error {
	switch l.Op {
	case "about", "canConnect", "done", "error":
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.open == "" || q.open != string(l.ID) {
			return nil // it was late, or nobody has asked
		}
		q.open = ""
		answer := *l
		answer.Raw = append([]byte(nil), l.Raw...)
		q.answer <- &answer
		return nil
	case "note":
		q.talk.Answer(l.ID, nil)
		return nil
	}
	return fmt.Errorf("this kozo does not know the op %q of a transport that is asked", l.Op)
}

func (q *questions) ask(op, id string, line any) (*protocol.Line, error) {
	q.rest.Stop()
	q.mu.Lock()
	q.open = id
	q.mu.Unlock()
	if !q.talk.Say(line) {
		<-q.over
		return nil, q.err
	}
	select {
	case l := <-q.answer:
		if l.Op != op && l.Op != "error" {
			return nil, fmt.Errorf("it answers with %q", l.Op)
		}
		return l, nil
	case <-q.over:
		if errors.Is(q.err, context.DeadlineExceeded) {
			return nil, fmt.Errorf("it has not answered within %v", questionTime)
		}
		return nil, q.err
	}
}

// end ends the run and waits for it.
func (q *questions) end() {
	q.rest.Stop()
	q.stop()
	<-q.over
}

// close ends the run, if there is one.
func (a *asker) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.run != nil {
		a.run.end()
		a.run = nil
	}
}
