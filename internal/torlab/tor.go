package torlab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Tor is one tor process of a network, which can be stopped and started again.
type Tor struct {
	Name    string
	network *Network
	env     []string
	dir     string
	control int
	socks   int

	mu   sync.Mutex
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// Socks returns HOST:PORT of the SOCKS proxy of a client.
func (t *Tor) Socks() string { return fmt.Sprintf("127.0.0.1:%d", t.socks) }

// Control returns HOST:PORT of the control port, which wants the cookie.
func (t *Tor) Control() string { return fmt.Sprintf("127.0.0.1:%d", t.control) }

// Dir returns the directory of the process.
func (t *Tor) Dir() string { return t.dir }

// start writes the torrc and starts the process. The time that a circuit may take
// is given: Tor learns it otherwise, and in a network on one machine learns 43 ms.
// When something else has the processor for a moment, a service then gives up all
// three paths to a rendezvous, and a client that was promised one waits for two
// minutes.
func (t *Tor) start(ctx context.Context, lines string) error {
	text := fmt.Sprintf(`TestingTorNetwork 1
DataDirectory %s
Nickname %s
Address 127.0.0.1
ControlPort 127.0.0.1:%d
CookieAuthentication 1
Log notice file %s
ShutdownWaitLength 0
__OwningControllerProcess %d
Schedulers Vanilla
LearnCircuitBuildTimeout 0
CircuitBuildTimeout 5
%s
`, t.dir, t.Name, t.control, filepath.Join(t.dir, "tor.log"), os.Getpid(), lines)
	if err := os.WriteFile(filepath.Join(t.dir, "torrc"), []byte(text), 0o600); err != nil {
		return err
	}
	return t.Start(ctx)
}

// Start starts the process again, after [Tor.Stop] or [Tor.Kill], and waits
// until it can be controlled.
func (t *Tor) Start(ctx context.Context) error {
	none := filepath.Join(t.dir, "none")
	cmd := exec.Command(find("tor"), "-f", filepath.Join(t.dir, "torrc"), "--ignore-missing-torrc", "--defaults-torrc", none, "--hush")
	cmd.Env = append(os.Environ(), t.env...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	t.mu.Lock()
	t.cmd, t.done = cmd, done
	t.mu.Unlock()
	for {
		if _, err := t.ask(ctx, "GETINFO version"); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s did not start: %w\n%s", t.Name, ctx.Err(), t.Log())
		case <-done:
			return fmt.Errorf("%s has ended: %s%s", t.Name, output.Bytes(), t.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Log returns what the process has logged.
func (t *Tor) Log() string {
	text, _ := os.ReadFile(filepath.Join(t.dir, "tor.log"))
	return string(text)
}

// Stop ends the process as an administrator would.
func (t *Tor) Stop() { t.end(syscall.SIGTERM) }

// Kill ends it without any notice.
func (t *Tor) Kill() { t.end(syscall.SIGKILL) }

func (t *Tor) end(how syscall.Signal) {
	t.mu.Lock()
	cmd, done := t.cmd, t.done
	t.mu.Unlock()
	if cmd == nil {
		return
	}
	_ = cmd.Process.Signal(how)
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		_ = cmd.Process.Kill()
		<-done
	}
}

// Joined waits until the tor is part of the network.
func (t *Tor) Joined(ctx context.Context) error {
	return t.until(ctx, "status/bootstrap-phase", func(answer string) bool {
		return strings.Contains(answer, "PROGRESS=100")
	})
}

// until asks again and again until the answer is as wanted.
func (t *Tor) until(ctx context.Context, key string, good func(string) bool) error {
	for {
		answer, err := t.ask(ctx, "GETINFO "+key)
		if err == nil && good(answer) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w, and %s is %.300q (%v)\n%s", t.Name, ctx.Err(), key, answer, err, t.Log())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// ask sends one command to the control port and returns what stands behind the
// first "=" of the answer, or all of it.
func (t *Tor) ask(ctx context.Context, command string) (string, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", t.Control())
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	cookie, err := os.ReadFile(filepath.Join(t.dir, "control_auth_cookie"))
	if err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(c, "AUTHENTICATE %s\r\n%s\r\nQUIT\r\n", hex.EncodeToString(cookie), command); err != nil {
		return "", err
	}
	lines := bufio.NewScanner(c)
	lines.Buffer(nil, 16<<20)
	var answer strings.Builder
	for replies := 0; replies < 2 && lines.Scan(); {
		line := lines.Text()
		if len(line) > 3 && line[3] == ' ' {
			replies++
			if line[0] != '2' {
				return "", errors.New(line)
			}
		}
		if replies > 0 && line != "250 OK" {
			answer.WriteString(line + "\n")
		}
	}
	if lines.Err() != nil {
		return "", lines.Err()
	}
	_, value, _ := strings.Cut(answer.String(), "=")
	return strings.TrimSpace(value), nil
}

func (t *Tor) relayLines(port int) string {
	return fmt.Sprintf("SocksPort 0\nORPort 127.0.0.1:%d IPv4Only\nExitRelay 0\nAssumeReachable 1\n", port)
}

// authorityLines keep the built-in schedule of votes away: the first vote is
// asked for.
func authorityLines(directory int) string {
	return fmt.Sprintf(`DirPort 127.0.0.1:%d IPv4Only
AuthoritativeDirectory 1
V3AuthoritativeDirectory 1
AuthDirTestReachability 0
TestingDirAuthVoteGuard *
TestingDirAuthVoteHSDir *
TestingV3AuthInitialVotingInterval 1800
TestingV3AuthInitialVoteDelay 2
TestingV3AuthInitialDistDelay 2
TestingV3AuthVotingStartOffset %d
V3AuthVotingInterval 3600
V3AuthVoteDelay 2
V3AuthDistDelay 2
`, directory, (time.Now().Unix()+900)%1800)
}

// claimBandwidth writes down a history of much traffic: a relay without one has
// no weight, and the others then wait for it to prove itself.
func (t *Tor) claimBandwidth() error {
	end := time.Now().UTC().Add(24*time.Hour - 30*time.Second).Format("2006-01-02 15:04:05")
	var b strings.Builder
	for _, way := range []string{"Read", "Write"} {
		fmt.Fprintf(&b, "BWHistory%[1]sEnds %[2]s\nBWHistory%[1]sInterval 86400\nBWHistory%[1]sMaxima 10000000\nBWHistory%[1]sValues 10000000\n", way, end)
	}
	return os.WriteFile(filepath.Join(t.dir, "state"), []byte(b.String()), 0o600)
}

var fingerprint = regexp.MustCompile(`(?m)^fingerprint (\S+)`)

// certify makes the keys of the authority, and the line with which everybody
// else knows it.
func (t *Tor) certify(ctx context.Context, directory, orPort int) error {
	if err := t.claimBandwidth(); err != nil {
		return err
	}
	keys := filepath.Join(t.dir, "keys")
	if err := os.MkdirAll(keys, 0o700); err != nil {
		return err
	}
	certificate := filepath.Join(keys, "authority_certificate")
	gencert := exec.CommandContext(ctx, find("tor-gencert"), "--create-identity-key", "--passphrase-fd", "0", "-m", "12",
		"-a", fmt.Sprintf("127.0.0.1:%d", directory), "-i", filepath.Join(keys, "authority_identity_key"),
		"-s", filepath.Join(keys, "authority_signing_key"), "-c", certificate)
	gencert.Stdin = strings.NewReader("lab\n")
	if out, err := gencert.CombinedOutput(); err != nil {
		return fmt.Errorf("tor-gencert: %w: %s", err, out)
	}
	text, err := os.ReadFile(certificate)
	if err != nil {
		return err
	}
	identity := fingerprint.FindSubmatch(text)
	none := filepath.Join(t.dir, "none")
	out, err := exec.CommandContext(ctx, find("tor"), "-f", none, "--ignore-missing-torrc", "--defaults-torrc", none,
		"--ORPort", "1", "--Nickname", t.Name, "--DataDirectory", t.dir, "--list-fingerprint", "--hush").Output()
	words := strings.Fields(string(out))
	if err != nil || identity == nil || len(words) < 10 {
		return fmt.Errorf("the authority has no fingerprint: %w: %s", err, out)
	}
	_ = os.Remove(filepath.Join(t.dir, "lock"))
	t.network.directory = fmt.Sprintf("DirAuthority %s orport=%d no-v2 v3ident=%s 127.0.0.1:%d %s\n",
		t.Name, orPort, identity[1], directory, strings.Join(words[len(words)-10:], ""))
	return nil
}
