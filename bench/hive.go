package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"kozo"
	"kozo/internal/config"
	"kozo/internal/hostnet"
	"kozo/internal/node"
	"kozo/internal/resolve"
	"kozo/internal/secure"
	"kozo/internal/status"
)

// hive is all nodes of a configuration in one process, so that a hundred of them
// can be measured on a small machine.
type hive struct {
	file  *config.File
	keys  map[kozo.NodeName]*secure.Key
	tally *tally
	ups   *upLog

	resolver *resolve.Resolver
	running  map[kozo.NodeName]*hiveNode
	ended    []status.Node // of those that have stopped, as they were then
}

type hiveNode struct {
	*node.Node
	stop context.CancelFunc
	done chan error
}

// hiveReport is what a hive has measured of itself.
type hiveReport struct {
	Seconds   float64   `json:"seconds"` // until all links were up
	CPU       float64   `json:"cpu"`     // seconds of it until then
	Resident  int64     `json:"resident"`
	Steady    float64   `json:"steady"`   // seconds of CPU a second when nothing is sent
	Restarts  []float64 `json:"restarts"` // seconds until a node and all links to it were up again
	Restarted float64   `json:"restarted"`
	Losses    losses    `json:"losses"`
}

// runHive measures a network in this process. Its arguments are the
// configuration, the seconds to wait and to be idle once all links are up, and
// whether to start all nodes again, one after the other.
func runHive(ctx context.Context, args []string) error {
	if len(args) != 4 {
		return errors.New("hive takes a configuration, two times in seconds and whether to restart")
	}
	settle, err := strconv.ParseFloat(args[1], 64)
	if err != nil {
		return err
	}
	idle, err := strconv.ParseFloat(args[2], 64)
	if err != nil {
		return err
	}
	openFiles()
	h, err := newHive(args[0])
	if err != nil {
		return err
	}
	defer h.close()
	var r hiveReport
	if err := h.converge(ctx, &r); err != nil {
		return err
	}
	if idle > 0 {
		if err := h.rest(ctx, seconds(settle), seconds(idle), &r); err != nil {
			return err
		}
	}
	if args[3] == "true" {
		if err := h.roll(ctx, &r); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func newHive(path string) (*hive, error) {
	h := &hive{
		tally: newTally(), ups: newUpLog(os.Stderr), resolver: resolve.New(),
		keys: map[kozo.NodeName]*secure.Key{}, running: map[kozo.NodeName]*hiveNode{},
	}
	types, err := registry()
	if err != nil {
		return nil, err
	}
	if err := types.AddRole(h.tally.roleType()); err != nil {
		return nil, err
	}
	if h.file, err = config.Load(path, config.Types{Registry: types}); err != nil {
		return nil, err
	}
	for _, n := range h.file.System.Nodes {
		if h.keys[n.Name], err = secure.LoadKey(n.PrivateKey); err != nil {
			return nil, err
		}
	}
	return h, nil
}

// converge starts all nodes at once and waits until all links are up.
func (h *hive) converge(ctx context.Context, r *hiveReport) error {
	begin, before := time.Now(), ownCPU()
	for _, n := range h.file.System.Nodes {
		if err := h.make(n.Name); err != nil {
			return err
		}
	}
	for _, n := range h.running {
		n.run()
	}
	nodes := len(h.file.System.Nodes)
	if err := h.whole(ctx, 0, nodes*(nodes-1)); err != nil {
		return err
	}
	r.Seconds, r.CPU = time.Since(begin).Seconds(), (ownCPU() - before).Seconds()
	return nil
}

// make makes a node that does not run yet.
func (h *hive) make(name kozo.NodeName) error {
	n, err := node.New(node.Config{
		System: h.file.System, Self: name, Key: h.keys[name], Version: "bench", Out: io.Discard, Log: slog.New(h.ups),
		Net: func(log *slog.Logger) *kozo.TransportEnv { return hostnet.Env(name, h.resolver, log) },
	})
	if err != nil {
		return err
	}
	h.running[name] = &hiveNode{Node: n, done: make(chan error, 1)}
	return nil
}

func (n *hiveNode) run() {
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	go func() { n.done <- n.Run(ctx) }()
}

// stop stops a node as a signal would.
func (h *hive) stop(name kozo.NodeName) error {
	n := h.running[name]
	delete(h.running, name)
	n.stop()
	err := <-n.done
	h.ended = append(h.ended, n.Status())
	return err
}

func (h *hive) close() {
	var all sync.WaitGroup
	for _, n := range h.running {
		if n.stop == nil {
			continue // it has not run
		}
		n.stop()
		all.Go(func() { <-n.done }) // that a role hangs does not matter any more
	}
	all.Wait()
}

// whole waits until so many more links have come up than before, and all are up.
func (h *hive) whole(ctx context.Context, before, more int) error {
	if err := h.ups.await(ctx, before+more); err != nil {
		return err
	}
	for {
		down := h.down()
		if down == "" {
			return nil
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return fmt.Errorf("%w: %s", err, down)
		}
	}
}

// down names a link that is not up.
func (h *hive) down() string {
	for name, n := range h.running {
		for _, l := range n.Status().Links {
			if l.State != "up" {
				return fmt.Sprintf("the link %s to %s is %s: %s", name, l.Peer, l.State, l.Reason)
			}
		}
	}
	return ""
}

// rest measures what the nodes need when there is nothing to do.
func (h *hive) rest(ctx context.Context, settle, idle time.Duration, r *hiveReport) error {
	if err := pause(ctx, settle); err != nil {
		return err
	}
	begin, before := time.Now(), ownCPU()
	if err := pause(ctx, idle); err != nil {
		return err
	}
	r.Steady = (ownCPU() - before).Seconds() / time.Since(begin).Seconds()
	debug.FreeOSMemory() // as the program of a node does
	var err error
	r.Resident, err = procField(os.Getpid(), "status", "VmRSS")
	return err
}

// roll starts every node again, one after the other, while all of them send each
// other a message a second.
func (h *hive) roll(ctx context.Context, r *hiveReport) error {
	h.tally.flow(true)
	before := ownCPU()
	for _, n := range h.file.System.Nodes {
		begin, ups := time.Now(), h.ups.count()
		if err := h.stop(n.Name); err != nil {
			return err
		}
		if err := h.make(n.Name); err != nil {
			return err
		}
		h.running[n.Name].run()
		if err := h.whole(ctx, ups, 2*(len(h.file.System.Nodes)-1)); err != nil {
			return fmt.Errorf("after the restart of %s: %w", n.Name, err)
		}
		r.Restarts = append(r.Restarts, time.Since(begin).Seconds())
	}
	r.Restarted = (ownCPU() - before).Seconds()
	h.tally.flow(false)
	for !h.calm() {
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
	r.Losses = h.losses()
	return nil
}

// upLog is the log of all nodes of a hive. It counts the links that come up, and
// writes what is not as it should be.
type upLog struct {
	slog.Handler
	*upCount
}

type upCount struct {
	mu      sync.Mutex
	ups     int
	changed chan struct{}
}

func newUpLog(w io.Writer) *upLog {
	return &upLog{
		Handler: slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}),
		upCount: &upCount{changed: make(chan struct{}, 1)},
	}
}

// Enabled lets what a node says by default pass.
func (u *upLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle counts.
func (u *upLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == linkUp {
		u.mu.Lock()
		u.ups++
		u.mu.Unlock()
		select {
		case u.changed <- struct{}{}:
		default:
		}
	}
	if r.Level < slog.LevelWarn {
		return nil
	}
	return u.Handler.Handle(ctx, r)
}

// WithAttrs keeps the count.
func (u *upLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &upLog{Handler: u.Handler.WithAttrs(attrs), upCount: u.upCount}
}

func (u *upCount) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ups
}

func (u *upCount) await(ctx context.Context, want int) error {
	for u.count() < want {
		select {
		case <-u.changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: %d of %d links have come up, with %d goroutines", ctx.Err(), u.count(), want, runtime.NumGoroutine())
		}
	}
	return nil
}
