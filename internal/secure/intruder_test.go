package secure

import (
	"errors"
	"io"
	"testing"

	"golang.org/x/crypto/ssh"
)

func intruder(t *testing.T, net network, s *system) (ssh.Conn, *end) {
	t.Helper()
	a, b := net(t)
	out := serve(t, b, s.config("scribe"))
	c, chans, reqs, err := ssh.NewClientConn(a, "", &ssh.ClientConfig{
		User: "clock", Auth: []ssh.AuthMethod{ssh.PublicKeys(s.keys["clock"].signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(),
	})
	if err != nil {
		t.Fatal(err)
	}
	go ssh.DiscardRequests(reqs)
	go func() {
		for c := range chans {
			c.Reject(ssh.Prohibited, "")
		}
	}()
	o := <-out
	if o.err != nil {
		t.Fatal(o.err)
	}
	t.Cleanup(func() {
		c.Close()
		o.conn.Close(nil)
	})
	return c, served(o.conn)
}

func TestOnlyStreamsCanBeOpened(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		c, conn := intruder(t, net, newSystem(t, "clock", "scribe"))
		for _, typ := range []string{"session", "direct-tcpip", "forwarded-tcpip", "x11", "auth-agent@openssh.com", "tun@openssh.com", "", "kozo@2"} {
			_, _, err := c.OpenChannel(typ, make([]byte, 100))
			refusal, ok := errors.AsType[*ssh.OpenChannelError](err)
			if !ok || refusal.Reason != ssh.UnknownChannelType {
				t.Errorf("%q: %v", typ, err)
			}
		}
		for _, typ := range []string{"tcpip-forward", "streamlocal-forward@openssh.com", "keepalive@openssh.com"} {
			if ok, _, err := c.SendRequest(typ, true, []byte("x")); ok || err != nil {
				t.Errorf("request %s: %v, %v", typ, ok, err)
			}
		}
		channel, reqs, err := c.OpenChannel(channelType, nil)
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(reqs)
		for _, typ := range []string{"exec", "shell", "subsystem", "pty-req", "env"} {
			if ok, err := channel.SendRequest(typ, true, []byte("\x00\x00\x00\x02id")); ok || err != nil {
				t.Errorf("request %s: %v, %v", typ, ok, err)
			}
		}
		if conn.Err() != nil {
			t.Errorf("the connection ended: %v", conn.Err())
		}
	})
}

func TestPeerCannotOpenManyStreams(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		c, conn := intruder(t, net, newSystem(t, "clock", "scribe"))
		var opened []ssh.Channel
		for range 1000 {
			channel, reqs, err := c.OpenChannel(channelType, nil)
			if err == nil {
				go ssh.DiscardRequests(reqs)
				opened = append(opened, channel)
			} else if refusal, ok := errors.AsType[*ssh.OpenChannelError](err); !ok || refusal.Reason != ssh.ResourceShortage {
				t.Fatal(err)
			}
		}
		if len(opened) != maxStreams {
			t.Errorf("%d streams were let in", len(opened))
		}
		// One that is closed on one side only still counts: it can hold data.
		var first io.Reader
		for i, channel := range opened {
			if _, err := channel.Write([]byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
		for range opened { // in any order
			stream, got := conn.accept(t), []byte{0}
			if _, err := io.ReadFull(stream, got); err != nil {
				t.Fatal(err)
			}
			if got[0] == 0 {
				first = stream
			}
		}
		opened[0].Close()
		waitFor(t, func() bool { return conn.inbound.Load() == maxStreams-1 })
		if _, err := io.ReadAll(first); err != nil {
			t.Error(err)
		}
		channel, reqs, err := c.OpenChannel(channelType, nil)
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(reqs)
		channel.Close()
	})
}

func TestFloodOfRequestsIsSurvived(t *testing.T) {
	everywhere(t, func(t *testing.T, net network) {
		c, conn := intruder(t, net, newSystem(t, "clock", "scribe"))
		channel, reqs, err := c.OpenChannel(channelType, nil)
		if err != nil {
			t.Fatal(err)
		}
		go ssh.DiscardRequests(reqs)
		for range 5000 {
			if _, _, err := c.SendRequest("x", false, make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
			if _, err := channel.SendRequest("x", false, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := channel.Stderr().Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		stream := conn.accept(t)
		go channel.Write([]byte("still here"))
		if _, err := io.ReadFull(stream, make([]byte, 10)); err != nil {
			t.Error(err)
		}
	})
}
