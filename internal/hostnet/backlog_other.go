//go:build !unix

package hostnet

import "net"

// setBacklog does nothing: the system chooses.
func setBacklog(net.Listener, int) error { return nil }
