package door

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"golang.org/x/term"

	"kozo/roles/debugger/internal/console"
)

const (
	ctrlC = 3
	ctrlU = 21 // forgets the line
)

// keys is what the client types: read by whoever reads a line, and looked at for
// ctrl-C while a command runs.
type keys struct {
	ctx    context.Context
	chunks chan []byte
	stop   chan struct{} // gets a value when the client sends a signal
	rest   []byte
}

func newKeys(ctx context.Context) keys {
	return keys{ctx: ctx, chunks: make(chan []byte), stop: make(chan struct{}, 1)}
}

// pump reads what the client types until it has hung up.
func (k *keys) pump(from io.Reader) {
	defer close(k.chunks)
	for {
		b := make([]byte, 1024)
		n, err := from.Read(b)
		if n > 0 {
			select {
			case <-k.ctx.Done():
				return
			case k.chunks <- b[:n]:
			}
		}
		if err != nil {
			return
		}
	}
}

func (k *keys) interrupt() {
	select {
	case k.stop <- struct{}{}:
	default:
	}
}

// Read is for who reads a line. ctrl-C forgets the line, as in a shell.
func (k *keys) Read(b []byte) (int, error) {
	if len(k.rest) == 0 {
		select {
		case <-k.ctx.Done():
			return 0, k.ctx.Err()
		case chunk, ok := <-k.chunks:
			if !ok {
				return 0, io.EOF
			}
			k.rest = chunk
		}
	}
	n := copy(b, k.rest)
	k.rest = k.rest[n:]
	for i, c := range b[:n] {
		if c == ctrlC {
			b[i] = ctrlU
		}
	}
	return n, nil
}

const longestLine = 16 << 10

var errLongLine = errors.New("the line is too long")

// line reads a line where nobody types.
func (k *keys) line() (string, error) {
	var line []byte
	one := make([]byte, 1)
	for {
		if _, err := k.Read(one); err != nil {
			if err == io.EOF && len(line) > 0 {
				return string(line), nil
			}
			return "", err
		}
		if one[0] == '\n' {
			return strings.TrimSuffix(string(line), "\r"), nil
		}
		if line = append(line, one[0]); len(line) > longestLine {
			return "", errLongLine
		}
	}
}

// watch waits for a command, and cancels it when the client wants that. What is
// typed meanwhile is for the next command.
func (k *keys) watch(done <-chan error, cancel func()) error {
	chunks := k.chunks
	if len(k.rest) > longestLine {
		chunks = nil // enough was typed ahead
	}
	for {
		select {
		case err := <-done:
			return err
		case <-k.stop:
			cancel()
		case chunk, ok := <-chunks:
			if !ok {
				chunks = nil
				continue
			}
			if i := bytes.LastIndexByte(chunk, ctrlC); i >= 0 {
				k.rest, chunk = nil, chunk[i+1:]
				cancel()
			}
			if k.rest = append(k.rest, chunk...); len(k.rest) > longestLine {
				chunks = nil
			}
		}
	}
}

// screen is the terminal of a client.
type screen struct{ *term.Terminal }

func newScreen(k *keys, out io.Writer, name string) *screen {
	t := term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{k, out}, name+"> ")
	names := console.Names()
	slices.Sort(names)
	t.AutoCompleteCallback = func(line string, pos int, key rune) (string, int, bool) {
		if key != '\t' {
			return "", 0, false
		}
		var fits []string
		for _, name := range names {
			if strings.HasPrefix(name, line[:pos]) {
				fits = append(fits, name)
			}
		}
		if len(fits) != 1 {
			return "", 0, false
		}
		return fits[0] + " " + line[pos:], len(fits[0]) + 1, true
	}
	return &screen{t}
}

func (s *screen) resize(columns, rows uint32) {
	if columns > 0 && rows > 0 && columns < 1<<15 && rows < 1<<15 {
		_ = s.SetSize(int(columns), int(rows))
	}
}
