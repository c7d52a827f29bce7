// Package link keeps one node in touch with one peer: it decides when and where
// to dial, holds the messages that wait, watches over the connection, and
// accounts for every message.
//
// There are two halves, which know nothing of each other. A [Link] is the
// standing relation from this node to the peer. It dials, over and over, opens
// a stream on the connection it got, and sends its messages there. An [Inbound]
// is the other end of the peer's own link to this node: it serves the streams
// that the peer opens, counts what arrives, and confirms it.
//
// # Finding a way
//
// Nobody waits for a target that does not answer. Targets are dialled in order,
// each with a head start over the next one, and if one is late and the peer has
// made a connection, the link rides on that. The first connection that carries
// both hellos is used. Dials to better targets go on then, and so does the search
// for them, now and then: the link moves to what they find, once the peer has said
// hello there. Until then it goes on where it is.
//
// # How nothing gets lost without a number
//
// Messages are numbered by counting. The receiver remembers, for the peer and for
// its boot id, the number of the last message that it got, confirms it now and
// then, and says it in its answer to the hello that opens a stream. A link keeps
// what it has written until it is confirmed, and writes no more than it can keep;
// it asks for a confirmation before that is much. So at each reconnection it knows
// exactly how much of what it had written has arrived, and sends the rest again,
// in order. A receiver takes nothing more from an older stream once it has
// answered a hello, so both sides count the same: as long as both nodes live,
// each message arrives once.
//
// What is in flight while the peer is away becomes too old as what waits does. It
// then counts as cut; if the peer comes back and turns out to have got some of it,
// the link moves these from cut to delivered. A peer that comes back with another
// boot id has lost what it did not confirm, or has worked it off before: nothing
// of it is sent again. The hello says how many streams came before it, so that
// one which was held up on its way does not replace a newer one; and one of an
// earlier run of the peer is known by the times of the connections.
//
// # Life and death of a connection
//
// Each side gives up a connection on which no byte has arrived for [Lifetime];
// that is done below, by the secure layer. Any byte counts, so a slow bulk
// transfer is not taken for death. The opener of a stream pings at every
// heartbeat, whatever else it sends, and the other side answers at once: so
// there is something to receive in both directions, and the death of one is
// noticed by the side that receives nothing more. All links of a node have their
// heartbeats at the same moments, so that an idle node sleeps in between.
package link
