package main

import (
	"bufio"
	"bytes"
	"testing"
)

func TestPacketsOfMQTT(t *testing.T) {
	var stream bytes.Buffer
	b := &mqttBus{out: bufio.NewWriter(&stream)}
	want := [][]byte{{}, []byte("one"), bytes.Repeat([]byte{7}, 70_000)}
	for _, p := range want {
		if err := b.publish(payloadTopic, p); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.flush(); err != nil {
		t.Fatal(err)
	}
	var got [][]byte
	err := mqttReceive(bufio.NewReader(&stream), func(p []byte) { got = append(got, bytes.Clone(p)) })
	if err == nil {
		t.Error("the end of the stream is no error")
	}
	if len(got) != len(want) {
		t.Fatalf("%d packets, not %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("packet %d has %d bytes, not %d", i, len(got[i]), len(want[i]))
		}
	}
}
