package netlab

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Missing returns what a lab needs and is not there: the rights of root, programs.
func Missing() []string {
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "the rights of root")
	}
	for _, program := range []string{"ip", "nft", "nsenter", "mount"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, "the program "+program)
		}
	}
	return missing
}

// Lab is a network. Its methods and those of its hosts are for one goroutine at a
// time.
type Lab struct {
	dir    string
	lan    *place
	hosts  []*Host
	places []*place
}

// New makes a network without hosts. It keeps its files in dir.
func New(dir string) (*Lab, error) {
	l := &Lab{dir: dir}
	var err error
	if l.lan, err = l.place("lan"); err != nil {
		return nil, err
	}
	if err := errors.Join(l.lan.run("ip", "link", "add", "name", "lan", "type", "bridge"), l.lan.run("ip", "link", "set", "lan", "up")); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Close lets go of the hosts. They are gone when the last command on them has
// ended, for which its owner waits.
func (l *Lab) Close() {
	for _, p := range l.places {
		p.close()
	}
}

// Host is a machine of the network. It has one network interface, eth0.
type Host struct {
	Name string
	*place
	lab   *Lab
	names string // its hosts file
}

// Host adds a host with an address like 10.0.0.1/24, and its cable plugged in.
func (l *Lab) Host(name, address string) (*Host, error) {
	p, err := l.place(name)
	if err != nil {
		return nil, err
	}
	h := &Host{Name: name, place: p, lab: l, names: filepath.Join(l.dir, name+".hosts")}
	l.hosts = append(l.hosts, h)
	return h, errors.Join(
		l.lan.run("ip", "link", "add", h.port(), "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(p.pid())),
		l.lan.run("ip", "link", "set", h.port(), "master", "lan", "up"),
		p.run("ip", "link", "set", "eth0", "up"),
		h.Address(address),
	)
}

// port is the name of the host's end of the cable at the switch: an interface
// name has at most 15 bytes.
func (h *Host) port() string { return fmt.Sprintf("to-%.12s", h.Name) }

// Pull pulls the cable of the host out of the switch: it loses its carrier, and
// keeps its addresses.
func (h *Host) Pull() error { return h.lab.lan.run("ip", "link", "set", h.port(), "down") }

// Plug plugs it in again.
func (h *Host) Plug() error { return h.lab.lan.run("ip", "link", "set", h.port(), "up") }

// Address replaces all IPv4 addresses of the host by one like 10.0.0.1/24.
func (h *Host) Address(address string) error {
	return errors.Join(h.run("ip", "-4", "addr", "flush", "dev", "eth0"), h.run("ip", "addr", "add", address, "dev", "eth0"))
}

// Filter replaces what the host's firewall does with packets that arrive, and
// with packets that leave, by rules in the language of nft, one a line.
func (h *Host) Filter(arrive, leave string) error {
	rules := fmt.Sprintf("table inet lab\ndelete table inet lab\ntable inet lab {\n"+
		"chain arrive { type filter hook input priority 0; policy accept;\n%s\n}\n"+
		"chain leave { type filter hook output priority 0; policy accept;\n%s\n}\n}\n", arrive, leave)
	cmd := h.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(rules)
	return output(cmd)
}

// Names replaces the hosts file of the host, which has lines like "10.0.0.1 bob".
func (h *Host) Names(lines string) error { return os.WriteFile(h.names, []byte(lines), 0o644) }

// place is a namespace for the network, for mounts and for the name of the host,
// and the process that holds it.
type place struct {
	keeper *exec.Cmd
	hold   io.Closer
}

// keep is what the keeper of a place runs, until its input ends. The files of
// the machine are replaced before /run, into which their names may lead.
const keep = `set -e
mount --bind "$1" /etc/hosts
if [ -e /etc/resolv.conf ]; then mount --bind /dev/null /etc/resolv.conf; fi
mount -t tmpfs -o mode=755 tmpfs /run
echo "$0" >/proc/sys/kernel/hostname
ip link set lo up
echo ready
exec cat`

func (l *Lab) place(name string) (*place, error) {
	names := filepath.Join(l.dir, name+".hosts")
	if err := os.WriteFile(names, []byte("127.0.0.1 localhost\n"), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command("/bin/sh", "-c", keep, name, names)
	var said strings.Builder
	cmd.Stderr = &said
	// With the flag for mounts, Go keeps them from being seen outside.
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("cannot make a namespace: %w", err)
	}
	p := &place{keeper: cmd, hold: in}
	l.places = append(l.places, p)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		p.close()
		return nil, fmt.Errorf("cannot make the namespace %s: %w: %s", name, err, said.String())
	}
	return p, nil
}

func (p *place) close() {
	_ = p.hold.Close()
	_ = p.keeper.Wait()
}

func (p *place) pid() int { return p.keeper.Process.Pid }

// Command makes a command that runs in the place, and is killed when the process
// that started it ends.
func (p *place) Command(program string, args ...string) *exec.Cmd {
	enter := []string{"--target", strconv.Itoa(p.pid()), "--net", "--mount", "--uts", "--", program}
	cmd := exec.Command("nsenter", append(enter, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

func (p *place) run(program string, args ...string) error {
	return output(p.Command(program, args...))
}

func output(cmd *exec.Cmd) error {
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
