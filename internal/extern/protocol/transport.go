package protocol

import (
	"encoding/json"
	"fmt"
	"log/slog"

	"kozo"
)

// Block describes a transport of a node to a program.
type Block struct {
	Node    kozo.NodeName   `json:"node"`
	Name    string          `json:"name"`
	Type    string          `json:"type"`
	Options json.RawMessage `json:"options"`
}

// Request is a line from the node that wants an answer, and says no more.
type Request struct {
	Op string          `json:"op"` // listen, cancel
	ID json.RawMessage `json:"id"`
}

// Accept asks for a connection that somebody makes.
type Accept struct {
	Op     string          `json:"op"`
	ID     json.RawMessage `json:"id"`
	Socket string          `json:"socket"`
	Token  string          `json:"token"`
}

// Connect asks for a connection to somebody.
type Connect struct {
	Op       string          `json:"op"`
	ID       json.RawMessage `json:"id"`
	Endpoint string          `json:"endpoint"`
	Index    int             `json:"index"`
	Remote   Block           `json:"remote"`
	Timeout  float64         `json:"timeout"` // seconds
	Socket   string          `json:"socket"`
	Token    string          `json:"token"`
}

// About asks about a transport of any node.
type About struct {
	Op    string          `json:"op"`
	ID    json.RawMessage `json:"id"`
	Block Block           `json:"block"`
}

// CanConnect asks whether one transport can dial another.
type CanConnect struct {
	Op     string          `json:"op"`
	ID     json.RawMessage `json:"id"`
	Local  Block           `json:"local"`
	Remote Block           `json:"remote"`
}

// Handed is the first line on a connection that is handed over.
type Handed struct {
	Token   string        `json:"token"`
	Address string        `json:"address"`
	Peer    kozo.NodeName `json:"peer"`
}

// NoteLevel returns the level of a note.
func (l *Line) NoteLevel() (slog.Level, error) {
	switch l.Level {
	case "debug":
		return slog.LevelDebug, nil
	case "info", "":
		return slog.LevelInfo, nil
	case "warn":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	}
	return 0, fmt.Errorf(`"level" is %q; it is debug, info, warn or error`, l.Level)
}
