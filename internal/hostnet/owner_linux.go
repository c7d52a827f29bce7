package hostnet

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// maxSockets bounds the lines of the system's table that are read.
const maxSockets = 1 << 16

// taken adds to the error about a port in use which process has it, if the
// system lets this user see that.
func taken(err error) error {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	wanted, ok := op.Addr.(*net.TCPAddr)
	if !ok {
		return err
	}
	found := sockets{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		found.read(table, wanted.AddrPort())
	}
	// One that listens is in the way of all others; a connection only sometimes.
	for _, state := range []bool{true, false} {
		if name, pid := owner(found, state); pid != "" {
			return fmt.Errorf("%w: %s (process %s) has it", err, name, pid)
		}
	}
	return fmt.Errorf("%w: \"ss -tanp sport = :%d\", run by root, shows which process has it", err, wanted.Port)
}

// sockets are those that are in the way, as the links to them are written, and
// whether they listen.
type sockets map[string]bool

// read collects from a table of the system the sockets that have a port on an
// address, or on all, if the address is one of all.
func (s sockets) read(table string, wanted netip.AddrPort) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	const listening = "0A"
	all := !wanted.Addr().IsValid() || wanted.Addr().IsUnspecified()
	end := fmt.Sprintf(":%04X", wanted.Port())
	lines := bufio.NewScanner(f)
	for n := 0; n < maxSockets && lines.Scan(); n++ {
		// sl local_address rem_address st queues tr retrnsmt uid timeout inode
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 || fields[9] == "0" { // a connection that has ended is nobody's
			continue
		}
		text, ok := strings.CutSuffix(fields[1], end)
		if !ok {
			continue
		}
		local, ok := address(text)
		if ok && (all || local.IsUnspecified() || local == wanted.Addr().Unmap().WithZone("")) {
			s["socket:["+fields[9]+"]"] = fields[3] == listening
		}
	}
}

// address reads one as the system's tables have it: words of 4 bytes, each as a
// number of this machine.
func address(text string) (netip.Addr, bool) {
	words, err := hex.DecodeString(text)
	if err != nil || len(words) != net.IPv4len && len(words) != net.IPv6len {
		return netip.Addr{}, false
	}
	for i := 0; i < len(words); i += 4 {
		binary.NativeEndian.PutUint32(words[i:], binary.BigEndian.Uint32(words[i:]))
	}
	a, ok := netip.AddrFromSlice(words)
	return a.Unmap(), ok
}

// owner finds a process that has one of the sockets open which listen, or do not.
func owner(found sockets, listening bool) (name, pid string) {
	if !slices.Contains(slices.Collect(maps.Values(found)), listening) {
		return "", ""
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range processes {
		fds, err := os.ReadDir(filepath.Join(dir, "fd"))
		if err != nil {
			continue
		}
		for _, fd := range fds {
			link, err := os.Readlink(filepath.Join(dir, "fd", fd.Name()))
			if listens, ok := found[link]; err == nil && ok && listens == listening {
				return command(dir), filepath.Base(dir)
			}
		}
	}
	return "", ""
}

// command returns the name of the program that a process runs.
func command(dir string) string {
	f, err := os.Open(filepath.Join(dir, "comm"))
	if err != nil {
		return "a program"
	}
	defer f.Close()
	name, _ := io.ReadAll(io.LimitReader(f, 64))
	return strconv.QuoteToGraphic(strings.TrimSpace(string(name)))
}
