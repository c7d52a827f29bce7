package console

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"runtime/trace"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"kozo"
)

// command is one of the things that can be asked.
type command struct {
	name, args, doc string
	binary          bool // the answer is for a program
	run             func(c *Console, ctx context.Context, args []string, out io.Writer) error
}

// The words that the door of a session understands itself.
const (
	Exit  = "exit"  // leave
	Close = "close" // end the session for everybody
	Delve = "delve" // attach Delve
)

// AllowTracer is the command by which the door asks that its child may attach
// to the node.
const AllowTracer = "allow-tracer"

func commands() []command {
	return []command{
		{"help", "", "this list", false, (*Console).help},
		{"roles", "", "the roles, and how they are", false, (*Console).roles},
		{"links", "", "the links to the peers, and why they are down", false, (*Console).links},
		{"queues", "", "what waits, and what was dropped", false, (*Console).queues},
		{"transports", "", "what the node listens on", false, (*Console).transports},
		{"status", "", "all of that as JSON", false, (*Console).status},
		{"vars", "[ROLE]", "the options of a role, and what it has in mind", false, (*Console).vars},
		{"tap", "[FILTER]", "the messages that pass by, such as event:tick from @clock, until ctrl-C", false, (*Console).tap},
		{"log", "[debug|info|warn|error]", "show or change what the node logs, until the session ends", false, (*Console).log},
		{"goroutines", "[all]", "the stacks of all goroutines; the same ones together, or each", false, (*Console).goroutines},
		{"memory", "", "what the memory is used for", false, (*Console).memory},
		{"build", "", "of what the program was built", false, (*Console).build},
		{"heap", "", "a profile of the memory, for go tool pprof", true, (*Console).heap},
		{"allocs", "", "a profile of all allocations since the start", true, (*Console).allocs},
		{"cpu", "[SECONDS]", "a profile of the processor's time, of 30 s if nothing is said", true, (*Console).cpu},
		{"trace", "[SECONDS]", "an execution trace, for go tool trace, of 5 s if nothing is said", true, (*Console).trace},
		{AllowTracer, "", "", false, (*Console).allowTracer},
	}
}

// Names returns the names of the commands, those of the door included.
func Names() []string {
	names := []string{Exit, Close, Delve}
	for _, cmd := range commands() {
		if cmd.doc != "" {
			names = append(names, cmd.name)
		}
	}
	return names
}

func table(out io.Writer, heads string) *tabwriter.Writer {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.ReplaceAll(heads, " ", "\t"))
	return t
}

func (c *Console) help(_ context.Context, _ []string, out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, cmd := range commands() {
		if cmd.doc != "" {
			fmt.Fprintf(t, "%s\t%s\n", strings.TrimSpace(cmd.name+" "+cmd.args), cmd.doc)
		}
	}
	fmt.Fprintf(t, "%s\tattach Delve: ssh -L 2345:delve:2345 … %s, then: dlv connect localhost:2345\n", Delve, Delve)
	fmt.Fprintf(t, "%s\tleave; the session ends when nobody is left\n", Exit)
	fmt.Fprintf(t, "%s\tend the session for everybody\n", Close)
	return t.Flush()
}

// snapshot is what the console reads of the status of the node.
type snapshot struct {
	Links []struct {
		Peer, Policy, State, Transport, Endpoint, Reason string
		Rides                                            bool
		Round                                            float64 `json:"round_trip"`
		Out                                              struct {
			Sent, Delivered, Queued uint64
			InFlight                uint64 `json:"in_flight"`
			Dropped                 map[string]uint64
		}
		In struct {
			Connected          bool
			Received, Accepted uint64
			Dropped            map[string]uint64
		}
	}
	Roles []struct {
		Name, Type, State, Error, Note string
		Restarts                       int
		Sent                           uint64
		Inbox                          struct {
			Offered, Taken, Queued, Bytes uint64
			Dropped                       map[string]uint64
		}
	}
	Transports []struct{ Name, Type, Listens, Error string }
}

func (c *Console) snapshot() (*snapshot, error) {
	text, err := c.inspect.Status()
	if err != nil {
		return nil, err
	}
	s := new(snapshot)
	return s, json.Unmarshal(text, s)
}

func (c *Console) status(_ context.Context, _ []string, out io.Writer) error {
	text, err := c.inspect.Status()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err = b.WriteTo(out)
	return err
}

func (c *Console) roles(_ context.Context, _ []string, out io.Writer) error {
	s, err := c.snapshot()
	if err != nil {
		return err
	}
	t := table(out, "ROLE TYPE STATE RESTARTS SENT TAKEN NOTE")
	for _, r := range s.Roles {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%s\n", r.Name, r.Type, r.State, r.Restarts, r.Sent, r.Inbox.Taken,
			kozo.Printable(strings.TrimSpace(r.Error+" "+r.Note)))
	}
	return t.Flush()
}

func (c *Console) links(_ context.Context, _ []string, out io.Writer) error {
	s, err := c.snapshot()
	if err != nil {
		return err
	}
	t := table(out, "PEER STATE OVER ROUND-TRIP FROM-PEER NOTE")
	for _, l := range s.Links {
		over, from := l.Transport+" "+l.Endpoint, "down"
		if l.Rides {
			over += " (the peer's)"
		}
		if l.In.Connected {
			from = "up"
		}
		trip := ""
		if l.Round > 0 {
			trip = time.Duration(l.Round * float64(time.Second)).Round(10 * time.Microsecond).String()
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", l.Peer, l.State, strings.TrimSpace(over), trip, from, kozo.Printable(l.Reason))
	}
	return t.Flush()
}

func (c *Console) queues(_ context.Context, _ []string, out io.Writer) error {
	s, err := c.snapshot()
	if err != nil {
		return err
	}
	t := table(out, "QUEUE OFFERED THROUGH WAITING DROPPED")
	for _, l := range s.Links {
		fmt.Fprintf(t, "to %s\t%d\t%d\t%d\t%s\n", l.Peer, l.Out.Sent, l.Out.Delivered, l.Out.Queued+l.Out.InFlight, drops(l.Out.Dropped))
		fmt.Fprintf(t, "from %s\t%d\t%d\t\t%s\n", l.Peer, l.In.Received, l.In.Accepted, drops(l.In.Dropped))
	}
	for _, r := range s.Roles {
		fmt.Fprintf(t, "inbox of %s\t%d\t%d\t%d\t%s\n", r.Name, r.Inbox.Offered, r.Inbox.Taken, r.Inbox.Queued, drops(r.Inbox.Dropped))
	}
	return t.Flush()
}

func drops(by map[string]uint64) string {
	var parts []string
	for _, cause := range slices.Sorted(maps.Keys(by)) {
		parts = append(parts, fmt.Sprintf("%d %s", by[cause], cause))
	}
	return cmp.Or(strings.Join(parts, ", "), "0")
}

func (c *Console) transports(_ context.Context, _ []string, out io.Writer) error {
	s, err := c.snapshot()
	if err != nil {
		return err
	}
	t := table(out, "TRANSPORT TYPE LISTENS NOTE")
	for _, p := range s.Transports {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", p.Name, p.Type, p.Listens, kozo.Printable(p.Error))
	}
	return t.Flush()
}

func (c *Console) vars(_ context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		s, err := c.snapshot()
		if err != nil {
			return err
		}
		for _, r := range s.Roles {
			args = append(args, r.Name)
		}
	}
	for _, name := range args {
		vars, err := c.inspect.Vars(kozo.RoleName(name))
		if err != nil {
			return err
		}
		text, err := json.MarshalIndent(vars, "", "  ")
		if err != nil {
			return fmt.Errorf("role %s exposes what cannot be shown: %w", name, err)
		}
		fmt.Fprintf(out, "%s %s\n", name, text)
	}
	return nil
}

func (c *Console) tap(ctx context.Context, args []string, out io.Writer) error {
	var filters []kozo.Filter
	if len(args) > 0 {
		f, err := kozo.ParseFilter(strings.Join(args, " "))
		if err != nil {
			return err
		}
		filters = append(filters, f)
	}
	for m, missed := range c.inspect.Tap(ctx, filters) {
		channel := ""
		if m.Channel != "" {
			channel = " to " + kozo.Printable(m.Channel)
		}
		_, err := fmt.Fprintf(out, "%s %s %s%s from %s #%d: %s\n", m.Time.Local().Format("15:04:05.000"), m.Kind,
			kozo.Printable(m.Type), channel, m.From, m.Seq, kozo.Printable(m.Body.Text()))
		if err == nil && missed > 0 {
			_, err = fmt.Fprintf(out, "%d messages passed too fast\n", missed)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *Console) log(_ context.Context, args []string, out io.Writer) error {
	if len(args) > 0 {
		var level slog.Level
		if err := level.UnmarshalText([]byte(args[0])); err != nil {
			return errors.New("expected debug, info, warn or error")
		}
		c.inspect.LogLevel.Set(level)
	}
	_, err := fmt.Fprintf(out, "the node logs what is %s or worse\n", strings.ToLower(c.inspect.LogLevel.Level().String()))
	return err
}

func (c *Console) goroutines(_ context.Context, args []string, out io.Writer) error {
	detail := 1
	if len(args) > 0 && args[0] == "all" {
		detail = 2
	}
	return pprof.Lookup("goroutine").WriteTo(out, detail)
}

func (c *Console) memory(_ context.Context, _ []string, out io.Writer) error {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	mib := func(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "in use on the heap\t%s in %d objects\n", mib(m.HeapAlloc), m.HeapObjects)
	fmt.Fprintf(t, "stacks\t%s for %d goroutines\n", mib(m.StackInuse), runtime.NumGoroutine())
	fmt.Fprintf(t, "from the system\t%s, of which %s were given back\n", mib(m.Sys), mib(m.HeapReleased))
	fmt.Fprintf(t, "next collection at\t%s\n", mib(m.NextGC))
	fmt.Fprintf(t, "collections\t%d, the last pause %v\n", m.NumGC, time.Duration(m.PauseNs[(m.NumGC+255)%256]))
	return t.Flush()
}

func (c *Console) build(_ context.Context, _ []string, out io.Writer) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("the program does not say")
	}
	_, err := io.WriteString(out, info.String())
	return err
}

func (c *Console) heap(_ context.Context, _ []string, out io.Writer) error {
	runtime.GC() // so that it shows what is in use now
	return pprof.Lookup("heap").WriteTo(out, 0)
}

func (c *Console) allocs(_ context.Context, _ []string, out io.Writer) error {
	return pprof.Lookup("allocs").WriteTo(out, 0)
}

const longest = 10 * time.Minute // of a profile

func seconds(args []string, usual time.Duration) (time.Duration, error) {
	if len(args) == 0 {
		return usual, nil
	}
	n, err := strconv.ParseFloat(args[0], 64)
	if err != nil || !(n > 0 && n <= longest.Seconds()) {
		return 0, fmt.Errorf("expected a number of seconds up to %.0f", longest.Seconds())
	}
	return time.Duration(n * float64(time.Second)), nil
}

func (c *Console) cpu(ctx context.Context, args []string, out io.Writer) error {
	d, err := seconds(args, 30*time.Second)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(out); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	return wait(ctx, d)
}

func (c *Console) trace(ctx context.Context, args []string, out io.Writer) error {
	d, err := seconds(args, 5*time.Second)
	if err != nil {
		return err
	}
	if err := trace.Start(out); err != nil {
		return err
	}
	defer trace.Stop()
	return wait(ctx, d)
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (c *Console) allowTracer(context.Context, []string, io.Writer) error {
	allowTracer(c.tracer)
	return nil
}
