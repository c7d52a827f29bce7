// Package standard is the explicit list of the roles and transports that Kōzō
// ships with.
package standard

import (
	"kozo"
	"kozo/roles/cuckoo"
	"kozo/roles/debugger"
	"kozo/roles/discover"
	"kozo/roles/injector"
	"kozo/roles/logger"
	"kozo/roles/motion"
	"kozo/roles/timer"
	"kozo/transports/bluetooth"
	"kozo/transports/onion"
	"kozo/transports/tcp"
)

// Registry returns a new registry with everything that ships. A program that
// has more adds it.
func Registry() *kozo.Registry {
	r := kozo.NewRegistry()
	for _, role := range []kozo.RoleType{
		cuckoo.Type(),
		debugger.Type(),
		discover.Type(),
		injector.Type(),
		logger.Type(),
		motion.Type(),
		timer.Type(),
	} {
		if err := r.AddRole(role); err != nil {
			panic(err) // two of the names above are the same
		}
	}
	for _, transport := range []kozo.TransportType{
		bluetooth.Type(),
		onion.Type(),
		tcp.Type(),
	} {
		if err := r.AddTransport(transport); err != nil {
			panic(err) // as above
		}
	}
	return r
}
