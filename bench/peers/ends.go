package main

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"strconv"
	"time"

	"kozo/bench/internal/traffic"
)

// creditSize is the size of what a sink says of itself: which one it is, and up to which message
// it has what was sent.
const creditSize = 16

// send is the sending process.
func send(ctx context.Context, s system, dir, address string, args []string) error {
	n, err := numbers(args)
	if err != nil {
		return err
	}
	size, rate, window, sinks := n[0], n[1], n[2], n[3]
	source, err := traffic.NewSource(size)
	if err != nil {
		return err
	}
	credits := make(chan [creditSize]byte, 1024)
	out, err := s.source(dir, address, window, sinks, func(b []byte) {
		if len(b) == creditSize {
			credits <- [creditSize]byte(b)
		}
	})
	if err != nil {
		return err
	}
	var frame []byte
	publish := func() error {
		frame = source.Append(frame[:0])
		return out.publish(payloadTopic, frame)
	}
	if rate > 0 {
		return traffic.Pace(ctx, rate, 0, func() error { return errors.Join(publish(), out.flush()) })
	}
	w := traffic.NewWindow(window, sinks)
	for open := w.Open(); ctx.Err() == nil; {
		for s.brakes || source.Sent() < open {
			if err := publish(); err != nil {
				return err
			}
		}
		if err := out.flush(); err != nil {
			return err
		}
		select {
		case c := <-credits:
			w.Arrived(string(c[:8]), int64(binary.BigEndian.Uint64(c[8:])))
			open = w.Open()
		case <-time.After(time.Second): // what was on the way is lost; one more message asks again
			open = source.Sent() + 1
		case <-ctx.Done():
		}
	}
	return nil
}

// receive is a receiving process.
func receive(ctx context.Context, s system, dir, address string, args []string) error {
	credit, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	skip, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	samples, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	m := traffic.NewMeter(skip, samples)
	sink := traffic.NewSink(m)
	type arrival struct {
		seq uint64
		err error
	}
	// Answers are written by another goroutine than reads, or both ends could
	// wait for each other with full buffers.
	answers := make(chan arrival, 1024)
	unanswered := credit // the first one is answered at once: the sender asks who is there
	out, err := s.sink(dir, address, func(b []byte) {
		seq, err := sink.TakeFrame(b)
		if unanswered++; err != nil || credit > 0 && unanswered >= credit {
			unanswered = 0
			answers <- arrival{seq, err}
		}
	})
	if err != nil {
		return err
	}
	go func() { _ = m.Run(ctx.Done(), os.Stdout) }() // fails if the bench has gone, as will this
	var text [creditSize]byte
	binary.BigEndian.PutUint64(text[:], uint64(os.Getpid()))
	for {
		select {
		case a := <-answers:
			if a.err != nil {
				return a.err
			}
			if s.brakes {
				continue
			}
			binary.BigEndian.PutUint64(text[8:], a.seq)
			if err := errors.Join(out.publish(creditTopic, text[:]), out.flush()); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}
