package secure

import (
	"context"
	"fmt"

	"golang.org/x/crypto/ssh"
)

// asked is what the peer asks for on a connection. The ssh package hands it over
// through channels of a fixed size, and all stands still while one of them is full,
// so each must be emptied until it is closed. One goroutine sees to all of them: a
// connection that is idle needs no other. Only opened is used by several.
type asked struct {
	chans   <-chan ssh.NewChannel // streams
	reqs    <-chan *ssh.Request
	streams [2]requests   // of one stream each way, which is what connections have
	opened  chan requests // of streams that are not there yet
}

// requests are what the peer asks for on a stream.
type requests struct {
	reqs    <-chan *ssh.Request // closed when the stream is over
	inbound bool                // the peer has opened the stream
}

// Serve answers what the peer asks for, and calls each with every stream that it
// opens, in a goroutine for each of them. It ends the connection when ctx is done.
// It returns why the connection ended, once nothing of it runs any more, and no
// call of each either. It must be called once for every connection, as soon as
// that is made: nothing arrives that the peer sends while nobody answers it.
func (c *Conn) Serve(ctx context.Context, each func(*Stream)) error {
	if c.theirs != nil {
		c.tasks.Go(func() { each(c.theirs) })
	}
	a := &c.asked
	done := ctx.Done()
	for a.chans != nil || a.reqs != nil || a.streams != [2]requests{} || c.Err() == nil {
		select {
		case <-done:
			c.Close(context.Cause(ctx))
			done = nil
		case offer, ok := <-a.chans:
			if ok {
				c.offered(offer, each)
			} else {
				a.chans = nil
			}
		case req, ok := <-a.reqs:
			if ok {
				refuse(req)
			} else { // the ssh package closes it last
				a.reqs = nil
				c.over()
			}
		case s := <-a.opened:
			c.attend(s)
		case req, ok := <-a.streams[0].reqs:
			c.request(0, req, ok)
		case req, ok := <-a.streams[1].reqs:
			c.request(1, req, ok)
		case <-c.silent():
		}
	}
	c.tasks.Wait()
	return c.Err()
}

// silent is closed when a connection has ended that is not one of the ssh package,
// which says so by closing what it hands over.
func (c *Conn) silent() <-chan struct{} {
	if c.ssh != nil {
		return nil
	}
	return c.Done()
}

// offered decides about a stream that the peer wants to open.
func (c *Conn) offered(offer ssh.NewChannel, each func(*Stream)) {
	switch {
	case offer.ChannelType() != channelType:
		offer.Reject(ssh.UnknownChannelType, "only "+channelType+" can be opened")
		return
	case c.inbound.Load() >= maxStreams:
		offer.Reject(ssh.ResourceShortage, "too many streams are open")
		return
	}
	c.inbound.Add(1)
	c.tasks.Go(func() {
		channel, reqs, err := offer.Accept()
		if err != nil {
			c.inbound.Add(-1)
			return
		}
		c.listen(requests{reqs: reqs, inbound: true})
		each(&Stream{conn: c, channel: channel})
	})
}

// listen sees to it that requests on a stream are answered.
func (c *Conn) listen(r requests) {
	select {
	case c.asked.opened <- r:
	default:
		c.listenApart(r)
	}
}

// attend takes a stream up, if there is room.
func (c *Conn) attend(r requests) {
	for i := range c.asked.streams {
		if c.asked.streams[i].reqs == nil {
			c.asked.streams[i] = r
			return
		}
	}
	c.listenApart(r)
}

// listenApart answers the requests on a stream in a goroutine of its own.
func (c *Conn) listenApart(r requests) {
	c.tasks.Go(func() {
		for req := range r.reqs {
			refuse(req)
		}
		c.closed(r)
	})
}

// request is one on a stream, or the end of it.
func (c *Conn) request(i int, req *ssh.Request, ok bool) {
	if ok {
		refuse(req)
		return
	}
	c.closed(c.asked.streams[i])
	c.asked.streams[i] = requests{}
}

// closed notes that both sides have closed a stream.
func (c *Conn) closed(r requests) {
	if r.inbound {
		c.inbound.Add(-1)
	}
}

// over notes that nothing can be asked any more.
func (c *Conn) over() {
	c.raw.opens.forbid()
	// Unless the network failed, the reason is not known yet.
	c.raw.kill(fmt.Errorf("the other side broke the protocol: %s", plain(c.ssh.Wait())))
}

// refuse answers a request with no, if an answer is wanted.
func refuse(req *ssh.Request) { _ = req.Reply(false, nil) }
