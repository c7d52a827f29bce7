package resolve

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// maxLine is the longest answer of the Avahi daemon that is read.
const maxLine = 1 << 10

// avahi asks the Avahi daemon for both sorts of addresses at once, over the
// text protocol of its socket. The error says that it is not there or does not
// know the name.
func (r *Resolver) avahi(ctx context.Context, name string) ([]netip.Addr, error) {
	if r.AvahiSocket == "" {
		return nil, errors.New("no socket is configured")
	}
	ctx, cancel := context.WithTimeout(ctx, avahiTime)
	defer cancel()
	type answer struct {
		addr netip.Addr
		err  error
	}
	answers := make(chan answer, 2)
	for _, command := range []string{"RESOLVE-HOSTNAME-IPV4", "RESOLVE-HOSTNAME-IPV6"} {
		go func() {
			a, err := r.askAvahi(ctx, command, name)
			answers <- answer{a, err}
		}()
	}
	var addrs []netip.Addr
	var errs []error
	var late <-chan time.Time
	for range 2 {
		select {
		case a := <-answers:
			if a.err != nil {
				errs = append(errs, a.err)
				continue
			}
			addrs = append(addrs, a.addr)
			late = time.After(lingerTime)
		case <-late:
			return addrs, nil
		case <-ctx.Done():
			return addrs, ctx.Err()
		}
	}
	// IPv4 first, whichever came first.
	if len(addrs) == 2 && addrs[0].Is6() && addrs[1].Is4() {
		addrs[0], addrs[1] = addrs[1], addrs[0]
	}
	return addrs, errors.Join(errs...)
}

func (r *Resolver) askAvahi(ctx context.Context, command, name string) (netip.Addr, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", r.AvahiSocket)
	if err != nil {
		return netip.Addr{}, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if _, err := fmt.Fprintf(c, "%s %s\n", command, name); err != nil {
		return netip.Addr{}, err
	}
	line, err := bufio.NewReaderSize(c, maxLine).ReadSlice('\n')
	if err != nil {
		return netip.Addr{}, err
	}
	return parseAvahi(string(line))
}

// parseAvahi reads "+ INTERFACE PROTOCOL NAME ADDRESS", or "-15 Timeout reached".
func parseAvahi(line string) (netip.Addr, error) {
	fields := strings.Fields(line)
	if len(fields) != 5 || fields[0] != "+" {
		return netip.Addr{}, errors.New("the Avahi daemon does not know this name")
	}
	a, err := netip.ParseAddr(fields[4])
	if err != nil {
		return netip.Addr{}, errors.New("the Avahi daemon gave an answer that is no address")
	}
	if a.Is6() && a.IsLinkLocalUnicast() && a.Zone() == "" {
		if index, err := strconv.Atoi(fields[1]); err == nil && index > 0 {
			a = a.WithZone(zone(index))
		}
	}
	return a, nil
}

// zone returns the name of a network interface, as it stands after the % of an
// address.
func zone(index int) string {
	if i, err := net.InterfaceByIndex(index); err == nil {
		return i.Name
	}
	return strconv.Itoa(index)
}
