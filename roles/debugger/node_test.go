package debugger

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"iter"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"kozo"
	"kozo/kozotest"
)

// node is what the role is told about a node that is not there.
type node struct {
	t       *testing.T
	private map[string]ed25519.PrivateKey
	taps    atomic.Int32

	mu    sync.Mutex
	doors []*exec.Cmd
}

func newNode(t *testing.T) *node {
	n := &node{t: t, private: map[string]ed25519.PrivateKey{}}
	for _, name := range []string{"alice", "bob", "stranger"} {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		n.private[name] = private
	}
	return n
}

func (n *node) signer(name string) ssh.Signer {
	s, err := ssh.NewSignerFromKey(n.private[name])
	if err != nil {
		n.t.Fatal(err)
	}
	return s
}

func (n *node) inspect() *kozo.Inspect {
	keys := map[kozo.NodeName]string{}
	for _, name := range []string{"alice", "bob"} {
		keys[kozo.NodeName(name)] = string(ssh.MarshalAuthorizedKey(n.signer(name).PublicKey()))
	}
	return &kozo.Inspect{
		Keys:     keys,
		LogLevel: new(slog.LevelVar),
		PrivateKey: func() ([]byte, error) {
			block, err := ssh.MarshalPrivateKey(n.private["alice"], "")
			return pem.EncodeToMemory(block), err
		},
		Status: func() (json.RawMessage, error) {
			return json.RawMessage(`{"roles":[{"name":"clock","type":"timer","state":"running","sent":7}]}`), nil
		},
		Vars: func(name kozo.RoleName) (map[string]any, error) {
			switch name {
			case "clock":
				return map[string]any{"options": map[string]any{"tick": "1s"}}, nil
			case "broken":
				panic("a role that is broken")
			}
			return nil, errors.New("there is no such role")
		},
		Tap: func(ctx context.Context, _ []kozo.Filter) iter.Seq2[kozo.Message, uint64] {
			n.taps.Add(1)
			return func(yield func(kozo.Message, uint64) bool) {
				defer n.taps.Add(-1)
				m, err := kozo.NewEvent("tick", "tock")
				if err != nil || !yield(m, 3) {
					return
				}
				<-ctx.Done()
			}
		},
		Helper: func(ctx context.Context) *exec.Cmd {
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = append(os.Environ(), "KOZO_DEBUGGER_DOOR=1")
			n.mu.Lock()
			defer n.mu.Unlock()
			n.doors = append(n.doors, cmd)
			return cmd
		},
	}
}

// alive says whether the process of the last session is there.
func (n *node) alive() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.doors[len(n.doors)-1].Process.Signal(syscall.Signal(0)) == nil
}

func (n *node) run(values kozo.Values) *kozotest.RoleRun {
	n.t.Helper()
	return kozotest.RunRole(n.t, kozotest.Make(n.t, Type(), values), kozotest.Options{
		Self: kozo.RoleRef{Node: "alice", Role: "debugger"}, Inspect: n.inspect(),
	})
}

// said returns the log messages that the role has sent.
func said(role *kozotest.RoleRun) string {
	var b strings.Builder
	for _, m := range role.Sent() {
		b.WriteString(m.Body.Text() + "\n")
	}
	return b.String()
}

func waitFor(role *kozotest.RoleRun, text string) {
	role.Wait("the words "+text, func() bool { return strings.Contains(said(role), text) })
}

var port = regexp.MustCompile(`ssh -p (\d+) debug@`)

// order asks for a session and returns where it is.
func order(t *testing.T, role *kozotest.RoleRun) string {
	t.Helper()
	before := len(role.Sent())
	m, err := kozo.NewOrder("debug", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	m.From = kozo.RoleRef{Node: "bob", Role: "someone"}
	if !role.Deliver(m) {
		t.Fatal("the role does not want a debug order")
	}
	role.Wait("a log message", func() bool { return len(role.Sent()) > before })
	text := role.Sent()[before].Body.Text()
	found := port.FindStringSubmatch(text)
	if found == nil || !strings.Contains(text, "someone@bob") {
		t.Fatalf("the role says %s", text)
	}
	return net.JoinHostPort("127.0.0.1", found[1])
}

func dial(n *node, addr, user string, how ...ssh.AuthMethod) (*ssh.Client, error) {
	return ssh.Dial("tcp", addr, &ssh.ClientConfig{
		User: user, Auth: how, HostKeyCallback: ssh.FixedHostKey(n.signer("alice").PublicKey()), Timeout: 20 * time.Second,
	})
}
