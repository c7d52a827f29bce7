// Command bench measures Kōzō: how fast messages arrive, what that costs, how long
// they take, and what a node needs when there is nothing to do. Beside it stand,
// in the same run, the floors (bare streams: what encryption and the network cost
// without Kōzō) and the neighbours that this machine has: what people would pick
// instead.
//
// The nodes that it measures are processes of its own program, which is a kozo with
// two more roles. It needs Linux. Compare CPU time and ratios within one run:
// messages a second move by a quarter from run to run.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"kozo/cli"
)

// childVariable is set for the processes that are measured.
const childVariable = "KOZO_BENCH_CHILD"

func main() {
	if os.Getenv(childVariable) != "" {
		os.Exit(child(os.Args[1:]))
	}
	if !isolated() {
		if code, ok := isolate(os.Args[1:]); ok {
			os.Exit(code)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// child is one of the processes that are measured.
func child(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	part, args := args[0], args[1:]
	var err error
	switch part {
	case "node":
		types, err := registry()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		stop() // the command has its own way with signals
		return cli.Main(types, args)
	case "floor-send":
		err = floorSend(ctx, args)
	case "floor-receive":
		err = floorReceive(ctx, args)
	default:
		err = fmt.Errorf("unknown part %q", part)
	}
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// parts are what can be measured.
var parts = [...]string{"throughput", "fanout", "latency", "start", "memory", "mesh", "idle"}

// options says how much is measured.
type options struct {
	parts        []string
	systems      []string // kozoSystem, floors and neighbours
	neighbours   *neighbours
	sizes        []int // bytes
	receivers    int   // of a fanout
	rounds       int
	warm, length time.Duration // of a throughput
	samples      int           // of latency, a round
	starts       int
	meshes       []int         // nodes
	settle       time.Duration // before memory and idleness are measured
	idle         time.Duration
}

func full() options {
	return options{
		sizes: []int{64, 256, 4 << 10, 64 << 10}, receivers: 10,
		rounds: 5, warm: 500 * time.Millisecond, length: time.Second, samples: 3000, starts: 5,
		meshes: []int{20, 50}, settle: 5 * time.Second, idle: time.Minute,
	}
}

func quick() options {
	return options{
		sizes: []int{256}, receivers: 10,
		rounds: 1, warm: 300 * time.Millisecond, length: time.Second, samples: 1000, starts: 1,
		meshes: []int{10}, settle: time.Second, idle: 5 * time.Second,
	}
}

// allSystems are what can be measured with these neighbours.
func allSystems(n *neighbours) []string {
	systems := []string{kozoSystem}
	for _, f := range floors {
		systems = append(systems, f.name)
	}
	return append(systems, n.names()...)
}

// among returns those of the wanted systems that are in the list.
func (o *options) among(list ...string) []string {
	return slices.DeleteFunc(list, func(s string) bool { return !slices.Contains(o.systems, s) })
}

func bench(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", strings.Join(parts[:], ","), "measure no more than these `parts`")
	isQuick := flags.Bool("quick", false, "measure less, in a minute")
	file := flags.String("json", "", "write the results to this `file` too")
	rounds := flags.Int("rounds", 0, "number of rounds, if not the usual one")
	systems := flags.String("systems", "", "measure no more than these `systems`, if not all")
	peers := flags.String("peers", "", "the `program` that has the neighbours; without it they are left out")
	plot := flags.String("svg", "", "draw the results into this `file` too")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return errors.Join(err, errors.New("usage: bench [-quick] [-rounds N] [-only PARTS] [-systems SYSTEMS] [-peers PROGRAM] [-json FILE] [-svg FILE]"))
	}
	o := full()
	if *isQuick {
		o = quick()
	}
	if *rounds > 0 {
		o.rounds = *rounds
	}
	o.parts = strings.Split(*only, ",")
	for _, part := range o.parts {
		if !slices.Contains(parts[:], part) {
			return fmt.Errorf("there is no part %q to measure; there are %s", part, strings.Join(parts[:], ", "))
		}
	}
	if isolated() {
		if err := furnish(); err != nil {
			return err
		}
	}
	var err error
	if o.neighbours, err = findNeighbours(ctx, *peers); err != nil {
		return err
	}
	defer o.neighbours.close()
	o.systems = allSystems(o.neighbours)
	if *systems != "" {
		for _, system := range strings.Split(*systems, ",") {
			if !slices.Contains(o.systems, system) {
				return fmt.Errorf("there is no system %q to measure; there are %s", system, strings.Join(o.systems, ", "))
			}
		}
		o.systems = strings.Split(*systems, ",")
	}
	r, err := measure(ctx, o, func(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) })
	if err != nil {
		return err
	}
	r.Quick = *isQuick
	r.print(os.Stdout)
	if *plot != "" {
		if err := os.WriteFile(*plot, r.svg(), 0o644); err != nil {
			return err
		}
	}
	if *file == "" {
		return nil
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(*file, append(text, '\n'), 0o644)
}

// measure measures the parts that the options name.
func measure(ctx context.Context, o options, say func(string, ...any)) (*results, error) {
	r := &results{When: time.Now().UTC().Truncate(time.Second), Rounds: o.rounds, Neighbours: o.neighbours.list, Machine: machine{
		CPU: cpuModel(), Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Kernel: firstLine("/proc/sys/kernel/osrelease"), Go: runtime.Version(),
		Congestion: firstLine("/proc/sys/net/ipv4/tcp_congestion_control"),
	}}
	for _, part := range parts {
		if !slices.Contains(o.parts, part) {
			continue
		}
		var err error
		switch part {
		case "throughput":
			r.Throughput, err = measureThroughputs(ctx, o, 1, o.sizes, o.systems, say)
		case "fanout":
			// The floors have one receiver.
			r.Fanout, err = measureThroughputs(ctx, o, o.receivers, []int{fanoutSize}, o.among(append(o.neighbours.names(), kozoSystem)...), say)
		case "latency":
			r.Latency, err = measureLatencies(ctx, o, o.latencySystems(), say)
		case "start":
			say("start")
			r.Start, err = measureStart(ctx, o)
		case "memory":
			say("memory")
			if r.Memory, err = measureMemory(ctx, o); err == nil {
				r.Resident, err = measureResidents(ctx, o, o.systems, say)
			}
		case "mesh":
			r.Mesh, err = measureMeshes(ctx, o, say)
		case "idle":
			say("idle network, %v", o.idle)
			r.Idle, err = measureIdle(ctx, o)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part, err)
		}
	}
	r.Ratios = r.ratios()
	return r, nil
}
