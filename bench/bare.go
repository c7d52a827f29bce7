package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// bareMesh is the floor of a full mesh: every node makes a bare SSH connection to
// every other one, and both prove who they are by Ed25519 keys. The connections
// stay open. Nothing is sent over them unless it beats.
type bareMesh struct {
	ports   []int
	signers []ssh.Signer
	beats   bool

	conns   sync.WaitGroup
	mu      sync.Mutex
	kept    []net.Conn
	streams []ssh.Channel // that are asked on
}

// bareReport is what a process of a bare mesh says once all connections that it
// makes are there.
type bareReport struct {
	Message  string  `json:"msg"` // a network counts the lines that say so
	Seconds  float64 `json:"seconds"`
	CPU      float64 `json:"cpu"`
	Resident int64   `json:"resident"`
}

// runBare is a process with nodes of a bare mesh. Its arguments are the number of
// the first of them, that after the last, and the ports of all nodes.
func runBare(ctx context.Context, args []string, beats bool) error {
	var numbers []int
	for _, arg := range args {
		n, err := strconv.Atoi(arg)
		if err != nil {
			return err
		}
		numbers = append(numbers, n)
	}
	if len(numbers) < 3 {
		return errors.New("bare takes two numbers and ports")
	}
	openFiles()
	b, err := newBareMesh(numbers[2:])
	if err != nil {
		return err
	}
	b.beats = beats
	begin, before := time.Now(), ownCPU()
	if err := b.run(ctx, numbers[0], numbers[1]); err != nil {
		return err
	}
	report := bareReport{Message: linkUp, Seconds: time.Since(begin).Seconds(), CPU: (ownCPU() - before).Seconds()}
	debug.FreeOSMemory() // as a node does
	if report.Resident, err = procField(os.Getpid(), "status", "VmRSS"); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		return err
	}
	if beats {
		return b.beat(ctx)
	}
	<-ctx.Done()
	return nil
}

// newBareMesh makes a key for each node that all processes know.
func newBareMesh(ports []int) (*bareMesh, error) {
	b := &bareMesh{ports: ports}
	for i := range ports {
		var seed [ed25519.SeedSize]byte
		copy(seed[:], strconv.Itoa(i))
		signer, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed[:]))
		if err != nil {
			return nil, err
		}
		b.signers = append(b.signers, signer)
	}
	return b, nil
}

// run makes the connections of some nodes, all at once.
func (b *bareMesh) run(ctx context.Context, from, to int) error {
	var listeners []net.Listener
	for i := from; i < to; i++ {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", b.ports[i]))
		if err != nil {
			return err
		}
		listeners = append(listeners, l)
		b.conns.Go(func() { b.accept(l, i) })
	}
	context.AfterFunc(ctx, func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	})
	var mu sync.Mutex
	var errs []error
	var dials sync.WaitGroup
	for i := from; i < to; i++ {
		for peer := range b.ports {
			if peer == i {
				continue
			}
			dials.Go(func() {
				if err := b.dial(ctx, i, peer); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			})
		}
	}
	dials.Wait()
	return errors.Join(errs...)
}

func (b *bareMesh) keep(c net.Conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.kept = append(b.kept, c) // or the collector closes it
}

func (b *bareMesh) accept(l net.Listener, self int) {
	config := &ssh.ServerConfig{PublicKeyCallback: func(c ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		n, err := strconv.Atoi(c.User())
		if err != nil || n < 0 || n >= len(b.signers) || string(key.Marshal()) != string(b.signers[n].PublicKey().Marshal()) {
			return nil, errors.New("another key")
		}
		return nil, nil
	}}
	config.AddHostKey(b.signers[self])
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		b.keep(c)
		b.conns.Go(func() {
			_, channels, requests, err := ssh.NewServerConn(c, config)
			if err != nil {
				return
			}
			go ssh.DiscardRequests(requests)
			b.answer(channels)
		})
	}
}

// dial connects two nodes. The other one may not listen yet.
func (b *bareMesh) dial(ctx context.Context, self, peer int) error {
	for {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", b.ports[peer]))
		if err != nil {
			if err := pause(ctx, 10*time.Millisecond); err != nil {
				return err
			}
			continue
		}
		client, channels, requests, err := ssh.NewClientConn(c, "", &ssh.ClientConfig{
			User: strconv.Itoa(self), Auth: []ssh.AuthMethod{ssh.PublicKeys(b.signers[self])},
			HostKeyCallback:   ssh.FixedHostKey(b.signers[peer].PublicKey()),
			HostKeyAlgorithms: []string{ssh.KeyAlgoED25519},
		})
		if err != nil {
			return err
		}
		b.keep(c)
		go ssh.DiscardRequests(requests)
		b.conns.Go(func() { b.answer(channels) })
		if b.beats {
			return b.open(client)
		}
		return nil
	}
}

// bare is a bare mesh whose processes this one starts.
type bare struct {
	*network
	part string
}

// The parts of this program that are processes of a bare mesh.
const (
	barePart  = "bare"
	beatsPart = "bare-beats"
)

func newBare(nodes int, beats bool) (*bare, error) {
	ports, err := freePorts(nodes)
	part := barePart
	if beats {
		part = beatsPart
	}
	return &bare{&network{ports: ports, news: map[string]int{}, changed: make(chan struct{}, 1)}, part}, err
}

// run starts a process with some of the nodes.
func (b *bare) run(from, to int, line func(string)) (*process, error) {
	args := []string{b.part, strconv.Itoa(from), strconv.Itoa(to)}
	for _, port := range b.ports {
		args = append(args, strconv.Itoa(port))
	}
	return start("bare handshakes", nil, line, args...)
}

// startBare starts a process for each node, and waits until all are connected.
func startBare(ctx context.Context, nodes int, beats bool) (*running, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	b, err := newBare(nodes, beats)
	if err != nil {
		return nil, err
	}
	r, err := func() (*running, error) {
		begin := time.Now()
		for i := range nodes {
			p, err := b.run(i, i+1, b.line)
			if err != nil {
				return nil, err
			}
			b.all = append(b.all, p)
		}
		if err := b.await(ctx, linkUp, nodes); err != nil {
			return nil, err
		}
		seconds := time.Since(begin).Seconds()
		cpu, err := usage(b.all)
		return &running{network: b.network, seconds: seconds, cpu: cpu}, err
	}()
	if err != nil {
		b.close()
		return nil, err
	}
	return r, nil
}
