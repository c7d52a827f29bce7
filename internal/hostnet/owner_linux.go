package hostnet

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// maxSockets bounds the lines of the system's table that are read.
const maxSockets = 1 << 16

// taken adds to the error about a port in use which process has it, if the
// system lets this user see that.
func taken(err error, address string) error {
	if !errors.Is(err, syscall.EADDRINUSE) {
		return err
	}
	_, text, splitErr := net.SplitHostPort(address)
	port, parseErr := strconv.ParseUint(text, 10, 16)
	if splitErr != nil || parseErr != nil {
		return err
	}
	sockets := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		listeners(table, uint16(port), sockets)
	}
	if name, pid := owner(sockets); pid != "" {
		return fmt.Errorf("%w: %s (process %s) has it", err, name, pid)
	}
	return fmt.Errorf("%w: \"ss -ltnp sport = :%d\", run by root, shows which process has it", err, port)
}

// listeners collects the sockets that listen on a port from a table of the
// system, in the form of the links to them.
func listeners(table string, port uint16, sockets map[string]bool) {
	f, err := os.Open(table)
	if err != nil {
		return
	}
	defer f.Close()
	const listening = "0A"
	end := fmt.Sprintf(":%04X", port)
	lines := bufio.NewScanner(f)
	for n := 0; n < maxSockets && lines.Scan(); n++ {
		// sl local_address rem_address st queues tr retrnsmt uid timeout inode
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && strings.HasSuffix(fields[1], end) && fields[3] == listening {
			sockets["socket:["+fields[9]+"]"] = true
		}
	}
}

// owner finds a process that has one of the sockets open.
func owner(sockets map[string]bool) (name, pid string) {
	if len(sockets) == 0 {
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
			if err == nil && sockets[link] {
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
