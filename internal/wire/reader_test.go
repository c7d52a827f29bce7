package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

type frame struct {
	typ     Type
	payload string
	size    uint64 // of one that is too large
}

// readAll reads frames until the stream ends.
func readAll(r *Reader) ([]frame, error) {
	var frames []frame
	for {
		typ, payload, err := r.Next()
		if big, ok := errors.AsType[*TooLarge](err); ok {
			frames = append(frames, frame{typ: typ, size: big.Size})
			continue
		}
		if err != nil {
			return frames, err
		}
		frames = append(frames, frame{typ: typ, payload: string(payload)})
	}
}

// parseAll is what a Reader does, for those who have all bytes and no memory to
// care about.
func parseAll(b []byte, maxFrame uint64) ([]frame, error) {
	var frames []frame
	for len(b) > 0 {
		size, n := binary.Uvarint(b[:min(len(b), 5)])
		switch {
		case n == 0 && len(b) < 5:
			return frames, io.ErrUnexpectedEOF
		case n <= 0 || size == 0 || size > MaxLength:
			return frames, ErrFrame
		case size > uint64(len(b)-n):
			return frames, io.ErrUnexpectedEOF
		}
		f := frame{typ: Type(b[n])}
		if size > maxFrame {
			f.size = size
		} else {
			f.payload = string(b[n+1 : n+int(size)])
		}
		frames = append(frames, f)
		b = b[n+int(size):]
	}
	return frames, io.EOF
}

func equalFrames(a, b []frame) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// pieces delivers bytes in reads of random sizes.
type pieces struct {
	b   []byte
	rng *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), 1+p.rng.IntN(1+p.rng.IntN(100000)))], p.b)
	p.b = p.b[n:]
	return n, nil
}

// held is how much memory a reader has.
func (r *Reader) held() int { return len(r.buf) + cap(r.own) }

// However the bytes are cut into reads, the same frames come out, and the
// buffer keeps to its bounds.
func TestReaderPieces(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var b []byte
		for range 1 + rng.IntN(60) {
			size := rng.IntN(1 + rng.IntN(300))
			if rng.IntN(10) == 0 {
				size = rng.IntN(200000)
			}
			b = AppendFrame(b, Type(rng.IntN(256)), bytes.Repeat([]byte{byte(size)}, size))
		}
		if rng.IntN(3) == 0 {
			b = b[:rng.IntN(len(b))]
		}
		maxFrame := 1 + rng.IntN(130000)
		want, wantErr := parseAll(b, uint64(maxFrame))
		sources := map[string]io.Reader{
			"whole": bytes.NewReader(b), "pieces": &pieces{b, rng},
			"end with data": iotest.DataErrReader(&pieces{b, rng}),
		}
		if len(b) < 30000 {
			sources["bytes"] = iotest.OneByteReader(bytes.NewReader(b))
		}
		for name, src := range sources {
			r := NewReader(src, maxFrame)
			got, err := readAll(r)
			if err != wantErr || !equalFrames(got, want) {
				t.Fatalf("seed %d, %s: %d frames, %v; want %d, %v", seed, name, len(got), err, len(want), wantErr)
			}
			if r.held() > busyBuffer+maxFrame+10 {
				t.Fatalf("seed %d, %s: the buffer has %d bytes", seed, name, len(r.buf))
			}
			if _, _, again := r.Next(); again != wantErr {
				t.Fatalf("seed %d, %s: after %v comes %v", seed, name, wantErr, again)
			}
		}
	}
}

// Runs hold what Next would have returned, in order, and keep to their bounds.
func TestReaderRuns(t *testing.T) {
	const most, limit = 5, 600
	heads := [...]string{"", "tick", "tock"}
	together := 0
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 2))
		var b []byte
		for range 200 {
			payload := heads[rng.IntN(3)] + string(bytes.Repeat([]byte{'x'}, rng.IntN(1+rng.IntN(400))))
			b = AppendFrame(b, TypeMessage+Type(rng.IntN(20)/19), []byte(payload))
		}
		maxFrame := 200 + rng.IntN(300)
		want, wantErr := parseAll(b, uint64(maxFrame))
		r := NewReader(&pieces{b, rng}, maxFrame)
		var got []frame
		for {
			typ, payload, err := r.Next()
			if big, ok := errors.AsType[*TooLarge](err); ok {
				got = append(got, frame{typ: typ, size: big.Size})
				continue
			}
			if err != nil {
				if err != wantErr || !equalFrames(got, want) {
					t.Fatalf("seed %d: %d frames, %v; want %d, %v", seed, len(got), err, len(want), wantErr)
				}
				break
			}
			if r.Keep() {
				t.Fatal("a small frame has memory of its own")
			}
			head := payload[:min(4, len(payload))]
			frames, n := r.Run(head, most, limit)
			if n < 1 || n > most || n > 1 && len(frames) > limit {
				t.Fatalf("seed %d: a run of %d frames, %d bytes", seed, n, len(frames))
			}
			together = max(together, n)
			for range n {
				payload, frames = Cut(frames)
				if !bytes.HasPrefix(payload, head) {
					t.Fatalf("seed %d: %q in a run of %q", seed, payload, head)
				}
				got = append(got, frame{typ: typ, payload: string(payload)})
			}
			if len(frames) > 0 {
				t.Fatalf("seed %d: %d bytes after the last frame of a run", seed, len(frames))
			}
		}
	}
	if together != most {
		t.Errorf("at most %d frames were in a run", together)
	}
}

func TestReaderErrors(t *testing.T) {
	for _, test := range []struct {
		in   string
		want error
	}{
		{"", io.EOF},
		{"\x00", ErrFrame},
		{"\x80", io.ErrUnexpectedEOF},
		{"\x80\x00", ErrFrame},
		{"\x01", io.ErrUnexpectedEOF},
		{"\x05\x02ab", io.ErrUnexpectedEOF},
		{"\xff\xff\xff\xff\x10x", ErrFrame}, // 2^32 and more
		{"\xff\xff\xff\xff\x0fx", io.ErrUnexpectedEOF},
		{"\x80\x80\x80\x80\x80\x01x", ErrFrame},
		{"\x82\x80\x80\x80\x80\x00\x05!", ErrFrame},                  // more than five bytes of length
		{"\x64\x02" + string(make([]byte, 50)), io.ErrUnexpectedEOF}, // too large, and cut
	} {
		r := NewReader(iotest.OneByteReader(bytes.NewReader([]byte(test.in))), 60)
		for range 2 {
			if _, _, err := r.Next(); err != test.want {
				t.Errorf("%q: %v, want %v", test.in, err, test.want)
			}
		}
	}
	broken := errors.New("the line is broken")
	r := NewReader(io.MultiReader(bytes.NewReader([]byte("\x01\x07\x05\x02ab")), iotest.ErrReader(broken)), 60)
	if typ, _, err := r.Next(); typ != TypeBye || err != nil {
		t.Errorf("%v, %v", typ, err)
	}
	if _, _, err := r.Next(); err != broken {
		t.Errorf("%v, want the error of the stream", err)
	}
	if _, _, err := NewReader(nothing{}, 60).Next(); err != io.ErrNoProgress {
		t.Errorf("a stream that yields nothing: %v", err)
	}
	// A length that is longer than necessary is fine.
	r = NewReader(bytes.NewReader([]byte("\x82\x80\x80\x80\x00\x05!")), 60)
	if typ, p, err := r.Next(); typ != TypeAck || string(p) != "!" || err != nil {
		t.Errorf("%v, %q, %v", typ, p, err)
	}
}

type nothing struct{}

func (nothing) Read([]byte) (int, error) { return 0, nil }

// watched sees how much the buffer that it is given has grown for what it has
// delivered.
type watched struct {
	r       *Reader
	src     io.Reader
	arrived int
	t       *testing.T
}

func (w *watched) Read(b []byte) (int, error) {
	if most := max(idleBuffer, 4*w.arrived); w.r.held() > most {
		w.t.Fatalf("the buffer has %d bytes after %d arrived", w.r.held(), w.arrived)
	}
	n, err := w.src.Read(b)
	w.arrived += n
	return n, err
}

// A peer gets memory for bytes that it has sent, not for a length.
func TestReaderMemoryIsEarned(t *testing.T) {
	b := binary.AppendUvarint(nil, 100<<20)
	b = append(b, byte(TypeMessage))
	b = append(b, make([]byte, 3<<20)...)
	w := &watched{src: bytes.NewReader(b), t: t}
	w.r = NewReader(w, 200<<20)
	if _, _, err := w.r.Next(); err != io.ErrUnexpectedEOF {
		t.Error(err)
	}
	if w.r.held() < 3<<20 {
		t.Errorf("3 MiB arrived, the buffer has %d bytes: does this test see it?", w.r.held())
	}
}

// A frame that is too large costs no memory, and its type is known.
func TestReaderTooLarge(t *testing.T) {
	b := AppendFrame(nil, TypeMessage, make([]byte, 5<<20))
	b = AppendFrame(b, TypeBye, []byte("x"))
	r := NewReader(bytes.NewReader(b), 1<<20)
	typ, p, err := r.Next()
	if big, ok := errors.AsType[*TooLarge](err); !ok || typ != TypeMessage || p != nil || big.Size != 5<<20+1 {
		t.Errorf("%v, %d bytes, %v", typ, len(p), err)
	}
	if r.held() > busyBuffer {
		t.Errorf("the buffer has %d bytes", r.held())
	}
	if typ, _, err := r.Next(); typ != TypeBye || err != nil {
		t.Errorf("%v, %v", typ, err)
	}
	exact := NewReader(bytes.NewReader(AppendFrame(nil, TypeBye, make([]byte, 99))), 100)
	if _, p, err := exact.Next(); len(p) != 99 || err != nil {
		t.Errorf("a frame of just the allowed size: %d, %v", len(p), err)
	}
}

// oneByOne delivers one frame a read.
type oneByOne struct{ frames [][]byte }

func (o *oneByOne) Read(b []byte) (int, error) {
	if len(o.frames) == 0 {
		return 0, io.EOF
	}
	n := copy(b, o.frames[0])
	if o.frames[0] = o.frames[0][n:]; len(o.frames[0]) == 0 {
		o.frames = o.frames[1:]
	}
	return n, nil
}

// The buffer is small while little comes, also after much has come.
func TestReaderShrinks(t *testing.T) {
	ping := AppendPing(nil, Ping{ID: 1})
	src := &oneByOne{}
	src.frames = append(src.frames, ping, AppendFrame(nil, TypeMessage, make([]byte, 1<<20)))
	for range 20 {
		src.frames = append(src.frames, ping)
	}
	r := NewReader(src, 2<<20)
	sizes := make([]int, 0, 22)
	for range 22 {
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, r.held())
	}
	if sizes[0] > idleBuffer || sizes[1] < 1<<20 || sizes[2] > busyBuffer || sizes[21] > idleBuffer {
		t.Errorf("the sizes of the buffer were %d", sizes)
	}
}

// A busy stream is read in large pieces, without allocations.
func TestReaderIsFast(t *testing.T) {
	var b []byte
	const frames = 100000
	for range frames {
		b = AppendFrame(b, TypeMessage, make([]byte, 100))
	}
	src := &counted{src: bytes.NewReader(b)}
	r := NewReader(src, 1000)
	read := func() {
		if _, _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	for range 1000 {
		read()
	}
	if n := testing.AllocsPerRun(frames-2000, read); n != 0 && !raceEnabled {
		t.Errorf("Next allocates %v times", n)
	}
	if most := len(b)/(60<<10) + 10; src.reads > most {
		t.Errorf("%d bytes took %d reads, should be at most %d", len(b), src.reads, most)
	}
	if !r.Buffered() {
		t.Error("the last frames should be in memory")
	}
}

type counted struct {
	src   io.Reader
	reads int
	sizes []int // of those that there is room for
}

func (c *counted) Read(b []byte) (int, error) {
	c.reads++
	n, err := c.src.Read(b)
	if len(c.sizes) < cap(c.sizes) {
		c.sizes = append(c.sizes, n)
	}
	return n, err
}

func BenchmarkReader(b *testing.B) {
	frames := bytes.Repeat(AppendFrame(nil, TypeMessage, make([]byte, 130)), 10000)
	src := bytes.NewReader(frames)
	r := NewReader(src, 1000)
	b.ReportAllocs()
	b.SetBytes(132)
	for b.Loop() {
		_, _, err := r.Next()
		if err == io.EOF {
			src.Reset(frames)
			r = NewReader(src, 1000)
		}
	}
}
