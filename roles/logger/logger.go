// Package logger is the role that prints the log messages of the network and
// writes them to a file.
package logger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/itchyny/timefmt-go"

	"kozo"
)

// TypeName is what the type of a role block says to get this role.
const TypeName = "logger"

// drainTime bounds the time for what is still in the inbox at the end.
const drainTime = time.Second

type options struct {
	File       kozo.Path `option:"file" default:"/var/log/kozo/kozo.log" doc:"file to write to; its directory is created if it is missing"`
	TimePrefix string    `option:"timePrefix" default:"[%Y-%m-%d %H:%M:%S] " doc:"what each line begins with, in the notation of strftime; the time is that of arrival, by the clock of this node"`
	FlushEvery int       `option:"flushEvery" default:"1024" min:"1" doc:"lines after which the file is flushed; no line waits longer than a second"`
	ClearLog   bool      `option:"clearLog" default:"false" doc:"empty the file at the start"`
	Node       kozo.List `option:"node" default:"" doc:"nodes to listen to; empty for all"`
	MaxSize    kozo.Size `option:"maxSize" default:"0" min:"0" doc:"size at which the file is moved to FILE.1 and begun anew; 0 for no limit"`
	Keep       int       `option:"keep" default:"3" min:"0" max:"1000" doc:"how many moved files to keep: FILE.1, the newest, to FILE.N"`
}

type logger struct{ options }

var (
	_ kozo.Role       = (*logger)(nil)
	_ kozo.Interested = (*logger)(nil)
	_ kozo.Publisher  = (*logger)(nil)
)

// Type returns the role type.
func Type() kozo.RoleType {
	return kozo.DefineRole(TypeName, "Prints the log messages of the network and writes them to a file.", newLogger)
}

func newLogger(o options) (kozo.Role, error) {
	if o.File == "" {
		return nil, &kozo.OptionError{Option: "file", Err: errors.New("the log needs the path of a file")}
	}
	if err := checkPrefix(o.TimePrefix); err != nil {
		return nil, &kozo.OptionError{Option: "timePrefix", Err: err}
	}
	for _, name := range o.Node {
		if err := kozo.CheckName(name); err != nil {
			return nil, kozo.Errorf("node", "%q cannot be the name of a node: %w", name, err)
		}
	}
	return &logger{o}, nil
}

// Interest asks for log messages.
func (l *logger) Interest() []kozo.Filter {
	if len(l.Node) == 0 {
		return []kozo.Filter{{Kind: kozo.Log}}
	}
	var filters []kozo.Filter
	for _, node := range l.Node {
		filters = append(filters, kozo.Filter{Kind: kozo.Log, Node: kozo.NodeName(node)})
	}
	return filters
}

// Publishes says that the role sends nothing.
func (l *logger) Publishes() []kozo.Filter { return []kozo.Filter{} }

// Run prints and writes. It never ends because of the file: trouble with it is
// told to the operator, and it is tried again. So the file is emptied by
// clearLog when the node starts and not again, unless the role should panic.
func (l *logger) Run(ctx context.Context, env *kozo.Env) error {
	f := newFile(l.options, func(level, text string) []byte {
		return l.line(kozo.Message{Type: level, From: env.Self, Body: kozo.NewLog(level, text).Body})
	}, env.Log)
	defer f.close()
	f.reopen()
	always := make(chan struct{})
	close(always)
	for {
		// Before anything else: an instance that has failed may have left some.
		ready := env.Inbox.Ready()
		if l.takeSome(ctx, env, f) {
			ready = always
		}
		select {
		case <-ctx.Done():
			for end := time.Now().Add(drainTime); time.Now().Before(end) && l.take(env, f); {
			}
			return nil
		case <-env.Reopen:
			f.reopen()
		case <-f.due:
			f.flush()
		case <-ready:
		}
	}
}

// takeSome handles messages, and returns true if there may be more: a flood of
// them must not keep the role from all else.
func (l *logger) takeSome(ctx context.Context, env *kozo.Env, f *file) bool {
	for range 256 {
		if ctx.Err() != nil || !l.take(env, f) {
			return false
		}
	}
	return true
}

// take handles one message, and returns false if there is none.
func (l *logger) take(env *kozo.Env, f *file) bool {
	m, ok := env.Inbox.TryReceive()
	if !ok {
		return false
	}
	line := l.line(m)
	_, _ = env.Out.Write(line) // nothing can be done if there is nobody to read it
	f.add(line)
	return true
}

// line is what is printed and written for a message. All of it but the prefix
// comes from the network, so it is made to stay on one line.
func (l *logger) line(m kozo.Message) []byte {
	b := timefmt.AppendFormat(nil, time.Now(), l.TimePrefix)
	level := ""
	if m.Type != "" && m.Type != kozo.Info {
		level = m.Type + ": "
	}
	text := strings.TrimRight(m.Body.Text(), "\r\n")
	return fmt.Appendf(b, "%s\n", kozo.Printable(m.From.String()+": "+level+text))
}
