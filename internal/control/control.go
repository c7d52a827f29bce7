// Package control is how commands on the same machine talk to a running node:
// over a unix socket that only the user who runs the node can open.
//
// # Protocol
//
// A request is one JSON object on a line, and so is each answer. Requests on one
// connection are answered one after the other. Unknown fields are ignored.
//
//	{"do":"status"}                     {"status":{…}}
//	{"do":"send","message":{…}}         {"ok":true}
//	{"do":"tail","filters":[{…},…]}     {"ok":true} and then, until either side closes,
//	                                    {"message":{…}} or {"message":{…},"missed":12}
//	anything that cannot be done        {"error":"why"}
//
// A message and a filter have the form that the root package gives them in JSON;
// no filters means every message. Missed is the number of messages that were
// dropped right after the one beside it, since the client did not read in time.
package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net"
	"sync"
	"time"

	"kozo"
	"kozo/internal/status"
)

// Node is what can be asked of a running node.
type Node interface {
	// Status returns a snapshot of the node.
	Status() status.Node

	// Send sends a message from the node itself, and returns the nodes with roles
	// that want it. It does not block.
	Send(kozo.Message) ([]kozo.NodeName, error)

	// Tail yields the messages that match one of the filters (all of them if
	// there are none) that pass after the call, until ctx is done or the node
	// ends, each with the number of those that were dropped right after it because
	// the loop was too slow.
	Tail(ctx context.Context, filters []kozo.Filter) iter.Seq2[kozo.Message, uint64]
}

// Bounds of the server.
const (
	// MaxRequest is the longest request, in bytes: a message with 1 MiB of
	// content, and what is around it.
	MaxRequest = 1<<20 + 64<<10

	// MaxClients is how many connections are served at once.
	MaxClients = 64

	// MaxFilters is how many filters one tail can have.
	MaxFilters = 64
)

const (
	idleTimeout  = 30 * time.Second // for the next request of a client
	writeTimeout = 10 * time.Second // for an answer to be taken; a tail may wait for ever
)

type request struct {
	Do      string        `json:"do"`
	Message *kozo.Message `json:"message,omitempty"`
	Filters []kozo.Filter `json:"filters,omitempty"`
}

type answer struct {
	Error   string          `json:"error,omitempty"`
	OK      bool            `json:"ok,omitempty"`
	Wanted  []kozo.NodeName `json:"wanted,omitempty"` // where a sent message is
	Status  *status.Node    `json:"status,omitempty"`
	Message *kozo.Message   `json:"message,omitempty"`
	Missed  uint64          `json:"missed,omitempty"`
}

// Serve answers the clients that connect to l until ctx is done, and returns
// when all of them are gone. It closes l. The error is why no more clients can
// be accepted.
func Serve(ctx context.Context, l net.Listener, node Node) error {
	ctx, cancel := context.WithCancel(ctx)
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	defer func() { _ = l.Close() }()

	slots := make(chan struct{}, MaxClients)
	pause := 5 * time.Millisecond
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return fmt.Errorf("the control socket was closed: %w", err)
			}
			// Out of file descriptors, most likely: that passes.
			select {
			case <-time.After(pause):
				pause = min(2*pause, time.Second)
				continue
			case <-ctx.Done():
				return nil
			}
		}
		pause = 5 * time.Millisecond
		select {
		case slots <- struct{}{}:
			clients.Go(func() {
				defer func() { <-slots }()
				serveClient(ctx, conn, node)
			})
		default:
			_ = write(conn, answer{Error: fmt.Sprintf("the node has %d clients already; close one of them", MaxClients)}, time.Millisecond)
			_ = conn.Close()
		}
	}
}

func serveClient(ctx context.Context, conn net.Conn, node Node) {
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer func() { _ = conn.Close() }()
	lines := bufio.NewScanner(conn)
	lines.Buffer(make([]byte, 0, 4096), MaxRequest)
	for {
		if conn.SetReadDeadline(time.Now().Add(idleTimeout)) != nil {
			return
		}
		if !lines.Scan() {
			if errors.Is(lines.Err(), bufio.ErrTooLong) {
				_ = write(conn, answer{Error: fmt.Sprintf("the request has more than %d bytes", MaxRequest)}, writeTimeout)
			}
			return
		}
		var req request
		if err := json.Unmarshal(lines.Bytes(), &req); err != nil {
			if write(conn, answer{Error: "the request cannot be read: " + err.Error()}, writeTimeout) != nil {
				return
			}
			continue
		}
		if req.Do == "tail" && len(req.Filters) <= MaxFilters {
			tail(ctx, conn, node, req.Filters)
			return
		}
		if write(conn, respond(node, req), writeTimeout) != nil {
			return
		}
	}
}

func respond(node Node, req request) answer {
	switch req.Do {
	case "status":
		s := node.Status()
		return answer{Status: &s}
	case "send":
		if req.Message == nil {
			return answer{Error: "there is no message to send"}
		}
		wanted, err := node.Send(*req.Message)
		if err != nil {
			return answer{Error: err.Error()}
		}
		return answer{OK: true, Wanted: wanted}
	case "tail":
		return answer{Error: fmt.Sprintf("there are %d filters; at most %d are allowed", len(req.Filters), MaxFilters)}
	}
	return answer{Error: fmt.Sprintf("%q is not something that can be done; use status, send or tail", req.Do)}
}

// tail streams messages until the client goes or ctx is done. A client that
// does not read holds up only this goroutine: the node drops what it has for it,
// and counts.
func tail(ctx context.Context, conn net.Conn, node Node, filters []kozo.Filter) {
	ctx, cancel := context.WithCancel(ctx)
	var reader sync.WaitGroup
	defer reader.Wait()
	defer func() { _ = conn.Close() }()
	defer cancel()
	if conn.SetReadDeadline(time.Time{}) != nil {
		return
	}
	reader.Go(func() {
		// The client has no more to say: whatever arrives is its end.
		_, _ = conn.Read(make([]byte, 1))
		cancel()
	})
	messages := node.Tail(ctx, filters)
	if write(conn, answer{OK: true}, writeTimeout) != nil {
		return
	}
	for m, missed := range messages {
		if write(conn, answer{Message: &m, Missed: missed}, 0) != nil {
			return
		}
	}
}

// write sends one line. A timeout of 0 means none.
func write(conn net.Conn, a answer, timeout time.Duration) error {
	line, err := json.Marshal(a)
	if err != nil {
		if line, err = json.Marshal(answer{Error: err.Error()}); err != nil {
			return err
		}
	}
	var deadline time.Time
	if timeout > 0 {
		deadline = time.Now().Add(timeout)
	}
	if err := conn.SetWriteDeadline(deadline); err != nil {
		return err
	}
	_, err = conn.Write(append(line, '\n'))
	return err
}
