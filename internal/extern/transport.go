package extern

import "kozo"

// Transport does what Role does, for transports: there are none yet.
func (s *Set) Transport(name string, search, imports []string) (t kozo.TransportType, searched []string, err error) {
	return t, nil, nil
}
