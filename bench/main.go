// Command bench measures Kōzō: how fast messages arrive, what that costs, how long
// they take, and what a node needs when there is nothing to do. Beside it stand,
// in the same run, the floors (bare streams: what encryption and the network cost
// without Kōzō) and the neighbours that this machine has: what people would pick
// instead.
//
// The nodes that send are processes of its own program, which is a kozo with some
// more roles; those that are idle are the kozo that people run, which it builds. It
// needs Linux. Compare CPU time and ratios within one run:
// messages a second move by a quarter from run to run.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"kozo/cli"
	vm "kozo/internal/vmlab/machine"
)

// childVariable is set for the processes that are measured.
const childVariable = "KOZO_BENCH_CHILD"

func main() {
	if os.Getenv(childVariable) != "" {
		os.Exit(child(os.Args[1:]))
	}
	if !isolated() {
		prepare(os.Args[1:])
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
	stopProfile, err := startProfile(part)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer stopProfile()
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
	case barePart, beatsPart:
		err = runBare(ctx, args, part == beatsPart)
	case "hive":
		err = runHive(ctx, args)
	case "air":
		err = runAir(ctx, args, os.Stdout)
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
var parts = [...]string{"throughput", "fanout", "curves", "latency", "overload", "start", "memory", "mesh", "idle"}

// prepare fetches what a part needs from elsewhere, while there is a way there: an
// isolated bench has none. That something is missing is said when it is measured.
func prepare(args []string) {
	if slices.ContainsFunc(args, func(a string) bool { return strings.Contains(a, bluetoothPart) }) {
		_ = vm.Prepare()
	}
}

// profilePart is measured only if it is asked for: it is for people who want to
// make the program faster.
const profilePart = "profile"

// options says how much is measured.
type options struct {
	quick        bool
	parts        []string
	systems      []string // kozoSystem, floors and neighbours
	neighbours   *neighbours
	sizes        []int // bytes
	receivers    int   // of a fanout
	rounds       int
	warm, length time.Duration // of a throughput
	samples      int           // of latency, a round
	starts       int
	most         int           // of what a curve is drawn against
	overload     time.Duration // its length
	profiles     string        // directory
	networks     []meshSize
	// neighbourhood is how many nodes the mesh has in which the memory of a
	// connection is measured.
	neighbourhood int
	settle        time.Duration // before memory and idleness are measured
	kozo          string        // the program that people run
	idle          time.Duration
	rest          time.Duration // the idleness of a mesh
}

func full() options {
	return options{
		sizes: []int{64, 256, 4 << 10, 64 << 10}, receivers: 10,
		rounds: 5, warm: 500 * time.Millisecond, length: time.Second, samples: 3000, starts: 5,
		most: 1000, overload: 30 * time.Second,
		networks: []meshSize{
			{nodes: 20, apart: true, rounds: 5}, {nodes: 20, rounds: 5},
			{nodes: 50, apart: true, rounds: 3}, {nodes: 50, rounds: 5}, {nodes: 100, rounds: 3},
		},
		neighbourhood: 20, settle: 15 * time.Second, idle: time.Minute, rest: 20 * time.Second,
	}
}

func quick() options {
	return options{
		sizes: []int{256}, receivers: 10,
		rounds: 1, warm: 300 * time.Millisecond, length: time.Second, samples: 1000, starts: 1,
		most: 1000, overload: 5 * time.Second,
		networks: []meshSize{{nodes: 10, apart: true, rounds: 1}, {nodes: 20, rounds: 1}}, neighbourhood: 10,
		settle: 4 * time.Second, idle: 5 * time.Second, rest: 5 * time.Second,
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
	file := flags.String("json", "", "write the results to this `file` too; what it has of other parts stays")
	rounds := flags.Int("rounds", 0, "number of rounds, if not the usual one")
	systems := flags.String("systems", "", "measure no more than these `systems`, if not all")
	peers := flags.String("peers", "", "the `program` that has the neighbours; without it they are left out")
	nodes := flags.String("nodes", "", "measure meshes of so many `nodes` in one process, not the usual ones")
	profiles := flags.String("profile", "", "write the CPU profiles of the part profile into this `directory`")
	docs := flags.String("docs", "", "measure nothing, and write the results of this `file` into the documents and pictures")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		return errors.Join(err, errors.New("usage: bench [-quick] [-rounds N] [-only PARTS] [-systems SYSTEMS] [-peers PROGRAM] [-nodes NUMBERS] [-json FILE] | bench -docs FILE"))
	}
	if *docs != "" {
		return writeDocs(".", *docs)
	}
	o := full()
	if *isQuick {
		o = quick()
	}
	o.quick = *isQuick
	if *rounds > 0 {
		o.rounds = *rounds
	}
	if *nodes != "" {
		o.networks = nil
		for _, word := range strings.Split(*nodes, ",") {
			n, err := strconv.Atoi(word)
			if err != nil || n < 2 {
				return fmt.Errorf("a mesh cannot have %q nodes", word)
			}
			o.networks = append(o.networks, meshSize{nodes: n, rounds: o.rounds})
		}
	}
	o.parts = strings.Split(*only, ",")
	for _, part := range o.parts {
		if part == profilePart {
			o.profiles = *profiles
			continue
		}
		if all := append(parts[:], slowParts[:]...); !slices.Contains(all, part) {
			return fmt.Errorf("there is no part %q to measure; there are %s", part, strings.Join(all, ", "))
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
	r.print(os.Stdout)
	if *file == "" {
		return nil
	}
	return r.save(*file)
}

// measure measures the parts that the options name.
func measure(ctx context.Context, o options, say func(string, ...any)) (*results, error) {
	r := &results{Parts: map[string]partRecord{}, Neighbours: o.neighbours.list, Machine: machine{
		CPU: cpuModel(), Cores: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Kernel: firstLine("/proc/sys/kernel/osrelease"), Go: runtime.Version(),
		Congestion: firstLine("/proc/sys/net/ipv4/tcp_congestion_control"),
	}}
	dir, err := os.MkdirTemp("", "kozo-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if slices.ContainsFunc(o.parts, func(part string) bool { return part == "memory" || part == "mesh" || part == "idle" }) {
		if o.kozo, err = buildKozo(ctx, dir); err != nil {
			return nil, err
		}
	}
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
		case "curves":
			r.Curves, err = measureCurves(ctx, o, say)
		case "overload":
			r.Overload, err = measureOverload(ctx, o, say)
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
		rounds := o.rounds
		if part == "overload" {
			rounds = o.overloadRounds()
		}
		r.Parts[part] = partRecord{When: time.Now().UTC().Truncate(time.Second), Quick: o.quick, Rounds: rounds}
	}
	if err := measureSlowLinks(ctx, o, r, say); err != nil {
		return nil, err
	}
	if slices.Contains(o.parts, profilePart) {
		if err := profileFlood(ctx, o, say); err != nil {
			return nil, fmt.Errorf("%s: %w", profilePart, err)
		}
	}
	r.Ratios = r.ratios()
	return r, nil
}
