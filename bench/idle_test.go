package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// TestBareProcessesSendWhatNodesDo asks one as another one does.
func TestBareProcessesSendWhatNodesDo(t *testing.T) {
	ports, err := freePorts(2)
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBareMesh(ports)
	if err != nil {
		t.Fatal(err)
	}
	b.beats = true
	ctx, cancel := context.WithCancel(t.Context())
	defer func() {
		cancel()
		for _, c := range b.kept {
			_ = c.Close()
		}
		b.conns.Wait()
	}()
	if err := b.run(ctx, 0, 2); err != nil {
		t.Fatal(err)
	}
	if len(b.streams) != 2 {
		t.Fatalf("there are %d channels to ask on, not one for each connection", len(b.streams))
	}
	if err := b.beat(ended(t)); err != nil {
		t.Errorf("nobody can be asked: %v", err)
	}

	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client, channels, requests, err := ssh.NewClientConn(conn, "", &ssh.ClientConfig{
		User: "1", Auth: []ssh.AuthMethod{ssh.PublicKeys(b.signers[1])}, HostKeyCallback: ssh.FixedHostKey(b.signers[0].PublicKey()),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	channel, _, err := ssh.NewClient(client, channels, requests).OpenChannel("beat", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		answer := make([]byte, len(bareAnswer()))
		if _, err := channel.Write(bareAsk()); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(channel, answer); err != nil || !bytes.Equal(answer, bareAnswer()) {
			t.Fatalf("the answer is %x: %v", answer, err)
		}
	}
}

// ended is a context that is done.
func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestAnIdleLinkStandsBesideABareOne(t *testing.T) {
	r := &results{Idle: &idle{Nodes: 3, CPUPercent: spread{Median: 0.008}, BareCPU: spread{Median: 0.006}, Ratio: 1.3}}
	if text := r.tableTargets(); !strings.Contains(text, "| 2.4 ms; a bare one that sends as much 1.8, a ratio of 1.30 | **missed** |") {
		t.Errorf("it does not say what it is beside:\n%s", text)
	}
	r.Idle.Ratio = 0
	if text := r.tableTargets(); !strings.Contains(text, "| 2.4 ms | **missed** |") {
		t.Errorf("without the other one:\n%s", text)
	}
}
