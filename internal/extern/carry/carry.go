// Package carry runs a program that is a transport of this node. It asks the
// program for connections, and takes them over at a Unix socket, to which the
// program connects each of them. docs/protocol-programs.md specifies both.
package carry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"kozo"
	"kozo/internal/extern/protocol"
	"kozo/internal/extern/talk"
)

// Config is what a run of a program is about.
type Config struct {
	Talk   talk.Config // what it hears and greets with is set here
	Secure bool        // it says who is at the other end
}

// Carrier is one run of a program. Its methods may be called by several
// goroutines at once.
type Carrier struct {
	cfg    Config
	talk   *talk.Talk
	life   context.Context // ends with the run
	end    context.CancelCauseFunc
	tasks  sync.WaitGroup
	socket *socket
	wake   chan struct{} // there is something in out

	greeted chan struct{}

	mu       sync.Mutex
	accepts  int // requests that the program wants to have open at a time
	last     uint64
	requests map[string]*request // by id; those that are not answered
	out      []any               // lines to be written
	listener *listener
	listens  string // where the program listens; empty if it does not
}

const (
	defaultAccepts = 4
	maxAccepts     = 64
	maxWaiting     = 4096 // lines for a program that does not read
)

var errEnded = errors.New("the program has ended")

// New makes a run. Nothing is started yet.
func New(cfg Config) *Carrier {
	c := &Carrier{
		cfg: cfg, accepts: defaultAccepts,
		wake: make(chan struct{}, 1), greeted: make(chan struct{}), requests: map[string]*request{},
	}
	c.life, c.end = context.WithCancelCause(context.Background())
	cfg.Talk.Greet, cfg.Talk.Hear = c.greet, c.hear
	c.talk = talk.New(cfg.Talk)
	return c
}

// Run runs the program until ctx is done or it fails. It can be called once.
func (c *Carrier) Run(ctx context.Context) (err error) {
	defer func() {
		if err == nil {
			err = errEnded
		}
		c.end(err)
		c.tasks.Wait()
	}()
	if c.socket, err = openSocket(); err != nil {
		return err
	}
	defer c.socket.close()
	c.tasks.Go(func() { c.socket.serve(c.life, c.cfg.Secure) })
	c.tasks.Go(c.pump)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer context.AfterFunc(c.life, func() { stop(context.Cause(c.life)) })()
	_, err = c.talk.Run(ctx)
	if cause := context.Cause(c.life); cause != nil {
		err = cause // it was given up for another reason than the program's own
	}
	return err
}

// Greeted is closed when the program has said hello.
func (c *Carrier) Greeted() <-chan struct{} { return c.greeted }

func (c *Carrier) greet(l *protocol.Line) error {
	var hello struct {
		Accepts *int `json:"accepts"`
	}
	if err := json.Unmarshal(l.Raw, &hello); err != nil {
		return errors.New(`"accepts" in its hello is a number`)
	}
	if n := hello.Accepts; n != nil {
		if *n < 1 || *n > maxAccepts {
			return fmt.Errorf(`"accepts" in its hello is %d; it is a number from 1 to %d`, *n, maxAccepts)
		}
		c.mu.Lock()
		c.accepts = *n
		c.mu.Unlock()
	}
	close(c.greeted)
	return nil
}

// say puts a line where it will be written. It never blocks.
func (c *Carrier) say(v any) {
	c.mu.Lock()
	c.out = append(c.out, v)
	full := len(c.out) > maxWaiting
	c.mu.Unlock()
	if full {
		c.end(fmt.Errorf("it does not read: %d requests wait for it", maxWaiting))
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// pump writes lines, as fast as the program takes them.
func (c *Carrier) pump() {
	for {
		select {
		case <-c.wake:
		case <-c.life.Done():
			return
		}
		c.mu.Lock()
		lines := c.out
		c.out = nil
		c.mu.Unlock()
		for _, line := range lines {
			if !c.talk.Say(line) {
				return
			}
		}
	}
}

// request is a line from the node that is answered.
type request struct {
	id    string
	token string              // of the connection that is wanted; empty if none is
	reply chan *protocol.Line // has room for the answer
	taken chan *Conn          // has room for the connection
}

// ask says a line, which line makes with the number of the request. If it wants
// a connection the socket is ready for it.
func (c *Carrier) ask(wantsConn bool, line func(id json.RawMessage, socket, token string) any) *request {
	r := &request{reply: make(chan *protocol.Line, 1), taken: make(chan *Conn, 1)}
	c.mu.Lock()
	c.last++
	r.id = strconv.FormatUint(c.last, 10)
	c.requests[r.id] = r
	c.mu.Unlock()
	path := ""
	if wantsConn {
		path = c.socket.path
		r.token = c.socket.expect(r.taken)
	}
	c.say(line(json.RawMessage(r.id), path, r.token))
	return r
}

// settled notes that the answer to a request is of no interest any more.
func (c *Carrier) settled(r *request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.requests, r.id)
}

// forget gives up a request, and closes what came of it.
func (c *Carrier) forget(r *request) {
	c.mu.Lock()
	_, open := c.requests[r.id]
	delete(c.requests, r.id)
	c.mu.Unlock()
	if r.token != "" {
		c.socket.forget(r.token)
		select {
		case conn := <-r.taken:
			_ = conn.Close()
		default:
		}
	}
	if open && c.life.Err() == nil {
		c.say(protocol.Request{Op: "cancel", ID: json.RawMessage(r.id)})
	}
}

// hear takes the answers of the program.
func (c *Carrier) hear(l *protocol.Line) error {
	switch l.Op {
	case "done", "error":
		c.mu.Lock()
		r := c.requests[string(l.ID)]
		delete(c.requests, string(l.ID))
		c.mu.Unlock()
		if r != nil { // else it was cancelled
			answer := *l
			answer.Raw = append([]byte(nil), l.Raw...) // what was parsed is valid until the next line
			r.reply <- &answer
		}
		return nil
	case "note":
		level, err := l.NoteLevel()
		if err != nil {
			return err
		}
		c.talk.Note(level, l.Text)
	default:
		return fmt.Errorf("this kozo does not know the op %q of a transport", l.Op)
	}
	c.talk.Answer(l.ID, nil)
	return nil
}

// failure is what an answer says, in the words of the program.
func failure(l *protocol.Line) error {
	if l.Text == "" {
		return errors.New("the program says that it failed, and not why")
	}
	return errors.New(kozo.Printable(l.Text))
}
