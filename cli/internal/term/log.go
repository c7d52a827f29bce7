package term

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
)

// NewLog returns a handler that writes a record as people read it: the time, the
// level if it is not the usual one, the message, and then the details as
// key=value. A detail of several lines stands below, indented. For the journal of the system it writes no time, and the level as
// the journal understands it.
func NewLog(w io.Writer, style Style, level slog.Leveler, journal bool) slog.Handler {
	h := &lineHandler{out: &lineOut{w: w}, style: style, journal: journal}
	h.attrs = slog.NewTextHandler(&h.out.buf, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, attr slog.Attr) slog.Attr {
			if len(groups) == 0 && (attr.Key == slog.TimeKey || attr.Key == slog.LevelKey || attr.Key == slog.MessageKey) {
				return slog.Attr{}
			}
			return attr
		},
	})
	return h
}

type lineHandler struct {
	out     *lineOut
	style   Style
	journal bool
	attrs   slog.Handler // writes the details to out.buf
}

// lineOut is shared by a handler and all that were made of it.
type lineOut struct {
	mu  sync.Mutex
	w   io.Writer
	buf bytes.Buffer
}

func (h *lineHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.attrs.Enabled(ctx, level)
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = h.attrs.WithAttrs(attrs)
	return &c
}

func (h *lineHandler) WithGroup(name string) slog.Handler {
	c := *h
	c.attrs = h.attrs.WithGroup(name)
	return &c
}

func (h *lineHandler) Handle(ctx context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	h.out.buf.Reset()
	text := ""
	if !h.journal {
		r, text = takeText(r)
	}
	if err := h.attrs.Handle(ctx, r); err != nil {
		return err
	}
	details := strings.TrimSpace(h.out.buf.String())
	line := h.prefix(r) + Clean(r.Message)
	if details != "" {
		line += "  " + h.style.Dim(details)
	}
	_, err := io.WriteString(h.out.w, line+"\n"+text)
	return err
}

// takeText takes what has several lines out of the details of a record, a
// traceback for example, and returns it for the lines below. It is indented, so
// that nothing in it passes for a record.
func takeText(r slog.Record) (slog.Record, string) {
	var text strings.Builder
	var rest []slog.Attr
	r.Attrs(func(a slog.Attr) bool {
		if a.Value.Kind() != slog.KindString || !strings.Contains(a.Value.String(), "\n") {
			rest = append(rest, a)
			return true
		}
		for line := range strings.Lines(a.Value.String()) {
			text.WriteString("    " + Clean(strings.TrimSuffix(line, "\n")) + "\n")
		}
		return true
	})
	if text.Len() == 0 {
		return r, ""
	}
	short := slog.NewRecord(r.Time, r.Level, r.Message, r.PC)
	short.AddAttrs(rest...)
	return short, text.String()
}

func (h *lineHandler) prefix(r slog.Record) string {
	if h.journal {
		switch {
		case r.Level >= slog.LevelError:
			return "<3>"
		case r.Level >= slog.LevelWarn:
			return "<4>"
		case r.Level >= slog.LevelInfo:
			return "<6>"
		}
		return "<7>"
	}
	s := ""
	if !r.Time.IsZero() {
		s = h.style.Dim(r.Time.Format("15:04:05")) + " "
	}
	switch {
	case r.Level >= slog.LevelError:
		return s + h.style.Bad("error: ")
	case r.Level >= slog.LevelWarn:
		return s + h.style.Pending("warning: ")
	}
	return s
}
