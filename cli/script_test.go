package cli_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"kozo/cli"
	"kozo/internal/secure"
	"kozo/standard"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"kozo": func() { os.Exit(cli.Main(standard.Registry(), os.Args[1:])) },
	})
}

// TestScripts runs the real program: every script is a person at a shell.
//
// Beside what testscript has, a script can use
//
//	exits CODE COMMAND…       run a command and look at its exit code
//	eventually REGEXP COMMAND…  run it again until its output matches
//	start NAME ARG…           run kozo in the background; what it prints goes to
//	                          the files NAME.out and NAME.err, its number to $PID_NAME
//	signal NAME SIGNAL        send it INT, TERM, HUP or KILL
//	ended NAME CODE [WITHIN]  wait for its end, look at its exit code and at the
//	                          time since the signal
//	compile FILE PACKAGE      make a program of a package
//	ports VAR…                set variables to free ports
//	keys NAME…                make NAME.key, and set KEY_NAME to its public half
//	fill IN OUT               copy a file with its variables filled in
//	tell PORT LINE            write a line to a port of this machine, print the answer
//	manager                   be a service manager
//	notified TEXT             wait until the manager has been told so
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: setUp,
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":      cmdExits,
			"eventually": cmdEventually,
			"start":      cmdStart,
			"signal":     cmdSignal,
			"ended":      cmdEnded,
			"ports":      cmdPorts,
			"compile":    cmdCompile,
			"keys":       cmdKeys,
			"fill":       cmdFill,
			"tell":       cmdTell,
			"manager":    cmdManager,
			"notified":   cmdNotified,
		},
	})
}

// patience is how long a script waits for what should come soon.
const patience = 30 * time.Second

// world is what the commands of one script share.
type world struct {
	started map[string]*process
	told    chan string // what the service manager was told
	soFar   string
}

type process struct {
	cmd      *exec.Cmd
	end      chan struct{} // closed at its end
	signaled time.Time
}

type worldKey struct{}

func setUp(env *testscript.Env) error {
	// The work directory of a script is too long a path for a socket.
	run, err := os.MkdirTemp("", "kz")
	if err != nil {
		return err
	}
	env.Setenv("KOZO_RUN_DIR", run)
	// A program built with -race would sleep for a second before it ends.
	env.Setenv("GORACE", "atexit_sleep_ms=10")
	examples, err := filepath.Abs("../examples")
	if err != nil {
		return err
	}
	env.Setenv("EXAMPLES", examples)
	w := &world{started: map[string]*process{}}
	env.Values[worldKey{}] = w
	env.Defer(func() {
		for _, p := range w.started {
			_ = p.cmd.Process.Kill()
			<-p.end
		}
		_ = os.RemoveAll(run)
	})
	return nil
}

func here(ts *testscript.TestScript) *world { return ts.Value(worldKey{}).(*world) }

func cmdExits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	re, err := regexp.Compile(`(?ms)` + args[0])
	ts.Check(err)
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		cmd := exec.Command(args[1], args[2:]...)
		cmd.Dir, cmd.Env = ts.MkAbs("."), environment(ts)
		output, _ := cmd.CombinedOutput()
		if re.Match(output) != neg {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("after %v %s still prints\n%s", patience, strings.Join(args[1:], " "), output)
		}
	}
}

// environment is that of the script, as far as the program looks at it.
func environment(ts *testscript.TestScript) []string {
	env := []string{}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GORACE", "KOZO_RUN_DIR", "NOTIFY_SOCKET", "WATCHDOG_USEC", "JOURNAL_STREAM", "XDG_RUNTIME_DIR"} {
		if value := ts.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func cmdStart(ts *testscript.TestScript, _ bool, args []string) {
	path, err := exec.LookPath("kozo")
	ts.Check(err)
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), environment(ts)
	stdout, err := os.Create(ts.MkAbs(args[0] + ".out"))
	ts.Check(err)
	defer stdout.Close()
	stderr, err := os.Create(ts.MkAbs(args[0] + ".err"))
	ts.Check(err)
	defer stderr.Close()
	cmd.Stdout, cmd.Stderr = stdout, stderr
	ts.Check(cmd.Start())
	ts.Setenv("PID_"+args[0], strconv.Itoa(cmd.Process.Pid))
	p := &process{cmd: cmd, end: make(chan struct{})}
	here(ts).started[args[0]] = p
	go func() {
		_ = cmd.Wait()
		close(p.end)
	}()
}

func cmdSignal(ts *testscript.TestScript, _ bool, args []string) {
	p := here(ts).started[args[0]]
	if p == nil {
		ts.Fatalf("nothing named %s was started", args[0])
	}
	signals := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL}
	p.signaled = time.Now()
	ts.Check(p.cmd.Process.Signal(signals[args[1]]))
}

func cmdEnded(ts *testscript.TestScript, _ bool, args []string) {
	p := here(ts).started[args[0]]
	if p == nil {
		ts.Fatalf("nothing named %s was started", args[0])
	}
	select {
	case <-p.end:
	case <-time.After(patience):
		ts.Fatalf("%s still runs", args[0])
	}
	if len(args) > 2 {
		within, err := time.ParseDuration(args[2])
		ts.Check(err)
		if took := time.Since(p.signaled); took > within {
			ts.Fatalf("%s took %v to end, more than %v", args[0], took, within)
		}
	}
	if got := fmt.Sprint(p.cmd.ProcessState.ExitCode()); got != args[1] {
		text, _ := os.ReadFile(ts.MkAbs(args[0] + ".err"))
		ts.Fatalf("%s ended with exit code %s, want %s\n%s", args[0], got, args[1], text)
	}
}

func cmdPorts(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		ts.Check(err)
		defer l.Close() // after all are picked, so that they differ
		ts.Setenv(name, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
}

func cmdCompile(ts *testscript.TestScript, _ bool, args []string) {
	cmd := exec.Command("go", "build", "-o", ts.MkAbs(args[0]), args[1])
	if output, err := cmd.CombinedOutput(); err != nil {
		ts.Fatalf("%v\n%s", err, output)
	}
}

func cmdKeys(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		key, err := secure.GenerateKey()
		ts.Check(err)
		ts.Check(key.Write(ts.MkAbs(name+".key"), name))
		ts.Setenv("KEY_"+name, key.Public().Line())
	}
}

func cmdFill(ts *testscript.TestScript, _ bool, args []string) {
	text := os.Expand(ts.ReadFile(args[0]), ts.Getenv)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o644))
}

func cmdTell(ts *testscript.TestScript, _ bool, args []string) {
	conn, err := net.DialTimeout("tcp", "127.0.0.1:"+args[0], patience)
	ts.Check(err)
	defer conn.Close()
	ts.Check(conn.SetDeadline(time.Now().Add(patience)))
	_, err = conn.Write([]byte(args[1] + "\n"))
	ts.Check(err)
	answer, err := bufio.NewReader(conn).ReadString('\n')
	ts.Check(err)
	_, _ = io.WriteString(ts.Stdout(), answer)
}

func cmdManager(ts *testscript.TestScript, _ bool, _ []string) {
	path := filepath.Join(ts.Getenv("KOZO_RUN_DIR"), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	ts.Check(err)
	ts.Setenv("NOTIFY_SOCKET", path)
	w := here(ts)
	w.told = make(chan string, 1000)
	ts.Defer(func() { _ = conn.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			select {
			case w.told <- string(buf[:n]):
			default:
			}
		}
	}()
}

func cmdNotified(ts *testscript.TestScript, _ bool, args []string) {
	w := here(ts)
	for timeout := time.After(patience); ; {
		select {
		case text := <-w.told:
			w.soFar += text + "\n"
			if strings.HasPrefix(text, args[0]) {
				return
			}
		case <-timeout:
			ts.Fatalf("the manager was told only\n%s", w.soFar)
		}
	}
}
