package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"

	"kozo"
	"kozo/internal/status"
)

// Status asks the node behind the socket at path for a snapshot.
func Status(ctx context.Context, path string) (status.Node, error) {
	var s status.Node
	err := ask(ctx, path, request{Do: "status"}, func(a answer) error {
		if a.Status == nil {
			return errors.New("the node sent no status")
		}
		s = *a.Status
		return io.EOF
	})
	return s, err
}

// Send lets the node behind the socket at path send a message, and returns the
// nodes with roles that want it. The error may be that of the node.
func Send(ctx context.Context, path string, m kozo.Message) (wanted []kozo.NodeName, err error) {
	err = ask(ctx, path, request{Do: "send", Message: &m}, func(a answer) error {
		wanted = a.Wanted
		return io.EOF
	})
	return wanted, err
}

// Tail calls each for every message at the node that matches one of the filters
// (every message if there are none), with the number of those that were dropped
// right after it. It calls ready, if it is not nil, once no more message can be
// missed. It returns nil when ctx is done, io.ErrUnexpectedEOF when the node has
// ended, and otherwise the error of each.
func Tail(ctx context.Context, path string, filters []kozo.Filter, ready func(), each func(m kozo.Message, missed uint64) error) error {
	err := ask(ctx, path, request{Do: "tail", Filters: filters}, func(a answer) error {
		switch {
		case a.Message != nil:
			return each(*a.Message, a.Missed)
		case ready != nil:
			ready()
		}
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// ask sends a request and hands on the answers until take returns an error; its
// io.EOF means that there was enough.
func ask(ctx context.Context, path string, req request, take func(answer) error) error {
	line, err := json.Marshal(req)
	if err != nil {
		return fmt.Errorf("the message cannot be written as JSON: %w", err)
	}
	if len(line) >= MaxRequest {
		return fmt.Errorf("the message has %d bytes as JSON; at most %d can be sent from the command line", len(line), MaxRequest)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write(append(line, '\n')); err != nil {
		return readable(ctx, err)
	}
	for dec := json.NewDecoder(conn); ; {
		var a answer
		if err := dec.Decode(&a); err != nil {
			return readable(ctx, err)
		}
		if a.Error != "" {
			return errors.New(a.Error)
		}
		if err := take(a); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// readable says why a conversation broke off.
func readable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("the node does not answer: %w", ctx.Err())
	}
	_, broken := errors.AsType[*net.OpError](err)
	if broken || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
