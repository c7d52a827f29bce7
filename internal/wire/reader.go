package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// Sizes of a reader's buffer.
const (
	idleBuffer = 1 << 10  // while little comes
	busyBuffer = 64 << 10 // while much comes
	quietReads = 8        // this many small reads in a row make the buffer small again
	pastReads  = 64       // after so many without a large frame none is expected

	largeFrame   = busyBuffer / 2 // a larger one has memory of its own
	largestStays = 256 << 10      // more of that does not wait for the next one
	ahead        = 512            // bytes read after a large frame: most likely one more will come
	maxEmpty     = 100            // this many reads of nothing in a row are an error

	maxHead = 5 // bytes of a length: MaxLength needs no more

	mostFrame = math.MaxInt32 - 64 // so that sizes fit into an int everywhere
)

// TooLarge reports a frame that was skipped because of its size.
type TooLarge struct {
	Size uint64 // bytes after the length
}

func (e *TooLarge) Error() string { return fmt.Sprintf("a frame has %d bytes", e.Size) }

// Reader reads frames from a stream. Its memory grows with the bytes that have
// arrived, never with a length that was announced, and shrinks again when large
// frames are past. It is not safe for concurrent use.
type Reader struct {
	src      io.Reader
	maxFrame uint64
	buf      []byte // of which buf[r:w] is unread
	r, w     int
	last     int // how many bytes before r the frame has that Next returned
	quiet    int
	err      error // of src: returned once what is in buf cannot be a frame

	// Large frames.
	big    []byte // the one that Next returned, if it was large
	own    []byte // its memory, to be used again
	lately int    // how large the last one was, up to largestStays
	past   int    // reads since then
}

// NewReader returns a reader of frames with at most maxFrame bytes after their
// length; a larger maxFrame than about 2 GiB is taken for that. It reads nothing
// yet.
func NewReader(src io.Reader, maxFrame int) *Reader {
	return &Reader{src: src, maxFrame: uint64(min(max(maxFrame, 1), mostFrame))}
}

// Next returns the next frame; the payload is valid until the next call. A frame
// that is too large is read and forgotten, and reported with its type and a
// *[TooLarge] error, after which the stream goes on. Any other error is final:
// [io.EOF] after the last frame, [io.ErrUnexpectedEOF] within one, [ErrFrame]
// where a length is none, or that of the stream. Types that are not known are
// returned like others.
func (r *Reader) Next() (Type, []byte, error) {
	r.big = nil
	head, size, err := r.length()
	if err != nil {
		return 0, nil, err
	}
	if size > r.maxFrame {
		return r.tooLarge(head, size)
	}
	total := uint64(head) + size
	if total > largeFrame && uint64(r.w-r.r) < total {
		return r.large(head, total)
	}
	for uint64(r.w-r.r) < total {
		if err := r.fill(total); err != nil {
			return 0, nil, r.unexpected(err)
		}
	}
	frame := r.buf[r.r : r.r+int(total) : r.r+int(total)]
	r.r += int(total)
	r.last = int(total)
	return Type(frame[head]), frame[head+1:], nil
}

// Run returns the whole frame that Next has just returned, and takes out those
// after it that are in memory already and of the same type, with a payload that
// begins with head: at most so many frames, and so many bytes if it is more than
// one. n is their number. They are valid until the next call of a method, and
// Run may be called once for each frame of Next.
func (r *Reader) Run(head []byte, most, limit int) (frames []byte, n int) {
	if r.big != nil {
		return r.big, 1
	}
	begin, end := r.r-r.last, r.r
	_, size := binary.Uvarint(r.buf[begin:end])
	typ := r.buf[begin+size]
	for n = 1; n < most; n++ {
		length, size := binary.Uvarint(r.buf[end:r.w])
		if size <= 0 || size > maxHead || length == 0 || length > min(r.maxFrame, uint64(r.w-end-size)) {
			break
		}
		next := end + size + int(length)
		if next-begin > limit || r.buf[end+size] != typ || !bytes.HasPrefix(r.buf[end+size+1:next], head) {
			break
		}
		end = next
	}
	r.r, r.last = end, end-begin
	return r.buf[begin:end:end], n
}

// Keep gives the memory of the frame that Next has just returned to the caller,
// for whom it stays valid. It does so with most large frames, and otherwise returns
// false.
func (r *Reader) Keep() bool {
	if r.big == nil {
		return false
	}
	r.own = nil
	return true
}

// Buffered says whether more frames, or a part of one, are in memory already.
// It is for batching: a frame of which only a part has come can take its time.
func (r *Reader) Buffered() bool { return r.w > r.r }

// length reads up to the end of the length and leaves it unread.
func (r *Reader) length() (head int, size uint64, err error) {
	for {
		for p := r.buf[r.r:r.w]; head < len(p); {
			c := p[head]
			size |= uint64(c&0x7f) << (7 * head)
			if head++; c < 0x80 {
				if size == 0 || size > MaxLength {
					r.err, r.r, r.w = ErrFrame, 0, 0
					return 0, 0, ErrFrame
				}
				return head, size, nil
			}
			if head == maxHead {
				r.err, r.r, r.w = ErrFrame, 0, 0
				return 0, 0, ErrFrame
			}
		}
		if err := r.fill(uint64(head) + 2); err != nil {
			if head > 0 {
				err = r.unexpected(err)
			}
			return 0, 0, err
		}
	}
}

// tooLarge skips a frame.
func (r *Reader) tooLarge(head int, size uint64) (Type, []byte, error) {
	for r.w-r.r <= head {
		if err := r.fill(uint64(head) + 1); err != nil {
			return 0, nil, r.unexpected(err)
		}
	}
	t := Type(r.buf[r.r+head])
	r.r += head
	for left := size; ; {
		n := min(left, uint64(r.w-r.r))
		r.r += int(n)
		if left -= n; left == 0 {
			return t, nil, &TooLarge{Size: size}
		}
		if err := r.fill(1); err != nil {
			return 0, nil, r.unexpected(err)
		}
	}
}

// large reads the rest of a frame into memory of its own, and nothing after it.
// The memory has the size of the frame, if the buffer is already half as large or
// there was such a frame lately. Otherwise it doubles each time it is full.
func (r *Reader) large(head int, total uint64) (Type, []byte, error) {
	b := r.own
	if r.own = nil; uint64(cap(b)) < total || uint64(cap(b)) > total+total/4 {
		b = make([]byte, min(total, uint64(max(2*len(r.buf), r.lately))))
	}
	b = b[:min(total, uint64(cap(b)))]
	n := copy(b, r.buf[r.r:r.w])
	r.r, r.w = 0, 0
	for uint64(n) < total {
		if n == len(b) {
			b = make([]byte, min(total, 2*uint64(n)))
			copy(b, r.own)
		}
		r.own = b
		got, err := r.read(b[n:])
		if err != nil {
			return 0, nil, r.unexpected(err)
		}
		n += got
	}
	r.own, r.big = b, b[:total:total]
	r.lately, r.past = int(min(total, largestStays)), 0
	return Type(b[head]), r.big[head+1:], nil
}

// fill reads once from the stream, into a buffer that is as large as seems
// useful for a frame of which so many bytes are wanted in a row.
func (r *Reader) fill(want uint64) error {
	r.resize(want)
	p := r.buf[r.w:]
	if r.lately > 0 {
		if r.past == 0 {
			p = p[:min(len(p), ahead)]
		}
		r.past++
		if cap(r.own) > largestStays || r.past >= pastReads || r.quiet >= quietReads {
			r.own, r.lately = nil, 0
		}
	}
	n, err := r.read(p)
	r.w += n
	return err
}

// read reads something from the stream, if that has not failed before.
func (r *Reader) read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	for range maxEmpty {
		n, err := r.src.Read(p)
		r.err = err
		if n > 0 {
			if n > idleBuffer/2 {
				r.quiet = 0
			} else {
				r.quiet++
			}
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
	r.err = io.ErrNoProgress
	return 0, r.err
}

// resize makes room in the buffer. Its size is that of what came lately, up to
// busyBuffer, and it at most doubles when it is full of one frame, so that a peer
// gets memory only for bytes that it has sent.
func (r *Reader) resize(want uint64) {
	have := r.w - r.r
	size := len(r.buf)
	switch {
	case size == 0:
		size = idleBuffer
	case have == size: // full, of one frame
		size *= 2
	case r.w == size && size < busyBuffer: // the last read filled it: there is more
		size = min(4*size, busyBuffer)
	case size > idleBuffer && r.quiet >= quietReads && want <= idleBuffer && have < idleBuffer:
		size = idleBuffer
	}
	if size != len(r.buf) {
		buf := make([]byte, size)
		r.w = copy(buf, r.buf[r.r:r.w])
		r.buf, r.r = buf, 0
		return
	}
	if r.r > 0 && (have == 0 || r.w == size || uint64(size-r.r) < want) {
		r.w = copy(r.buf, r.buf[r.r:r.w])
		r.r = 0
	}
}

// unexpected is for a stream that ends within a frame.
func (r *Reader) unexpected(err error) error {
	if err == io.EOF {
		r.err = io.ErrUnexpectedEOF
	}
	return r.err
}
