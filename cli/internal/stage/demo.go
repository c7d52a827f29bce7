package stage

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"kozo"
	"kozo/internal/control"
	"kozo/internal/status"
)

// Demo puts a network on the stage that is like the one of the documentation: a
// clock, a scribe and an attic. It returns the port of the attic's injector.
func (s *Stage) Demo(ctx context.Context) (injector int, err error) {
	values := []any{}
	for _, name := range []kozo.NodeName{"clock", "scribe", "attic"} {
		path, public, err := s.Key(name)
		if err != nil {
			return 0, err
		}
		port, err := s.Port()
		if err != nil {
			return 0, err
		}
		values = append(values, path, public, port)
	}
	if injector, err = s.Port(); err != nil {
		return 0, err
	}
	values = append(values, filepath.Join(s.home(), "scribe", "storage"), filepath.Join(s.home(), "scribe", "scribe.log"), injector)
	text := fmt.Sprintf(`system:
    clock:
        privateKey: %[1]q
        publicKey: %[2]s
        roles:
            timer1:
                type: timer
                tick: 1
        transports:
            tcp:
                address: 127.0.0.1
                bindAddress: 127.0.0.1
                port: %[3]d
    scribe:
        privateKey: %[4]q
        publicKey: %[5]s
        roleStorage: %[10]q
        roles:
            cuckoo:
            logger:
                file: %[11]q
        transports:
            tcp:
                address: 127.0.0.1
                bindAddress: 127.0.0.1
                port: %[6]d
    attic:
        privateKey: %[7]q
        publicKey: %[8]s
        roles:
            chime:
                type: timer
                tick: 5
                message: tea is ready
            injector:
                type: message_injector
                bindPort: %[12]d
                log: true
        transports:
            tcp:
                address: 127.0.0.1
                bindAddress: 127.0.0.1
                port: %[9]d
heartbeat: 5
connectionRetry: 5
`, values...)
	return injector, s.Write(ctx, []byte(text))
}

// Greet sends a log message from the attic as soon as it is connected to the
// scribe, as a person would with "kozo send".
func (s *Stage) Greet(ctx context.Context) {
	for !s.greet(ctx) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *Stage) greet(ctx context.Context) bool {
	attic, ok := s.socketOf(ctx, "attic")
	if !ok {
		return false
	}
	st, err := control.Status(ctx, attic)
	if err != nil || !slices.ContainsFunc(st.Links, func(l status.Link) bool { return l.Peer == "scribe" && l.State == "up" }) {
		return false
	}
	_, err = control.Send(ctx, attic, kozo.NewLog(kozo.Info, "hello from the attic, sent by the demo as kozo send log does"))
	return err == nil
}

// socketOf returns the control socket of a running node on the stage.
func (s *Stage) socketOf(ctx context.Context, name kozo.NodeName) (string, bool) {
	for _, r := range s.Dirs().Running(ctx) {
		if r.Node == name && !r.Denied {
			return r.Path, true
		}
	}
	return "", false
}
