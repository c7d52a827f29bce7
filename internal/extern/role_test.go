//go:build unix

package extern_test

import (
	"bytes"
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"kozo"
	"kozo/kozotest"
)

// TestEcho has a role in sh send back what it gets, with all sorts of content.
func TestEcho(t *testing.T) {
	r := run(t, undescribed+`
echo '{"op":"hello","protocol":1,"filters":["event:in"]}'
while read -r line; do
	case $line in
	'{"op":"event",'*) data=${line#*'"data":'}; printf '%s\n' "{\"op\":\"event\",\"type\":\"out\",\"channel\":\"c\",\"data\":$data" ;;
	'{"op":"stop"'*) echo '{"op":"log","type":"info","data":"bye"}' ;;
	esac
done`)
	wants(t, r)
	values := []any{
		true, int64(1), int64(-1 << 63), uint64(1<<64 - 1), 3.0, 0.1, 1e300, "", "tschüß\n\"\\\x00", []byte{}, []byte{0, 255},
		[]any{}, []any{nil, []any{"x"}}, map[string]any{}, map[string]any{"a": int64(1), "$b": nil}, map[string]any{"$bytes": "x"},
		map[string]any{"$$": []byte("y")}, math.Inf(-1), "$bytes",
	}
	for _, v := range values {
		r.Deliver(event("in", v))
	}
	r.Wait("all of them", func() bool { return len(r.Sent()) >= len(values) })
	for i, m := range r.Sent() {
		want, _ := kozo.Pack(values[i])
		if m.Kind != kozo.Event || m.Type != "out" || m.Channel != "c" || !bytes.Equal(m.Body, want) {
			t.Errorf("%v came back as %s %s %s %v", values[i], m.Kind, m.Type, m.Channel, m.Body.Text())
		}
	}
	if r.Stop(); len(r.Sent()) != len(values)+1 || r.Sent()[len(values)].Body.Text() != "bye" {
		t.Errorf("the last word did not come: %v", r.Sent()[len(values):])
	}
	if a := r.Account(); a.Taken != uint64(len(values)) || len(a.Dropped) != 0 {
		t.Errorf("the account is %+v", a)
	}
}

// TestHello is what a program learns about itself.
func TestHello(t *testing.T) {
	typ := typeOf(t, `
if [ "$1" = --describe ]; then cat <<'END'
{"protocol":1,"kind":"role","version":"1.2","author":"Jane","description":"Rings.",
 "options":{"zone":{"description":"Where"},"pin":{"default":17},"every":{"type":"duration","default":"500ms"},
 "to":{"default":["a","b"]},"on":{"default":true},"deep":{"default":{"x":[1,2.5]}},"none":{"default":null}},
 "filters":["event:press",{"kind":"order","type":"ring","channel":"$zone"}],"publishes":["event:rang"]}
END
exit; fi
read -r hello
echo '{"op":"hello","protocol":1}'
echo "{\"op\":\"print\",\"text\":\"$KOZO_NODE $KOZO_NAME $KOZO_TYPE\"}"
printf '%s\n' "{\"op\":\"event\",\"type\":\"rang\",\"data\":$hello}"
cat >/dev/null`)
	if typ.Doc != "Rings (version 1.2, by Jane)." || typ.FreeForm != "" || typ.LateInterest {
		t.Errorf("the type is %+v", typ)
	}
	values := kozo.Values{"zone": "hall"}
	for _, o := range typ.Options {
		if v, err := o.DefaultValue(); err != nil {
			t.Error(err)
		} else if _, given := values[o.Name]; !given {
			values[o.Name] = v
		}
	}
	r := kozotest.RunRole(t, kozotest.Make(t, typ, values), kozotest.Options{Self: kozo.RoleRef{Node: "clock", Role: "bell1"}})
	r.Wait("its hello", func() bool { return len(r.Sent()) == 1 && r.Out() != "" })
	const want = `{"kind":"role","maxLine":1048576,"mode":"run","name":"bell1","node":"clock","op":"hello",` +
		`"options":{"deep":{"x":[1,2.5]},"every":0.5,"none":null,"on":true,"pin":17,"to":["a","b"],"zone":"hall"},` +
		`"filters":[{"kind":"event","type":"press"},{"channel":"hall","kind":"order","type":"ring"}],"protocol":1,"storage":true,"type":"bell"}`
	var got, expected kozo.Body
	_ = expected.UnmarshalJSON([]byte(want))
	if got = r.Sent()[0].Body; !bytes.Equal(got, expected) {
		t.Errorf("its hello is\n%s, want\n%s", got.Text(), expected.Text())
	}
	if r.Out() != "clock bell1 bell\n" {
		t.Errorf("its environment says %q", r.Out())
	}
	if f := r.Interest(); len(f) != 2 || f[1].String() != "order:ring:hall" {
		t.Errorf("it wants %v", f)
	}
}

// TestStorage stores and reads, and counts.
func TestStorage(t *testing.T) {
	storage := kozotest.NewStorage()
	const script = undescribed + `
echo '{"op":"hello","protocol":1,"filters":["*"],"id":"h"}'
while read -r line; do
	case $line in
	'{"op":"event",'*) data=${line#*'"data":'}; printf '%s\n' "${data%\}}" ;;
	'{"op":"hello",'*) ;;
	*) printf '{"op":"print","text":"%s"}\n' "$(printf '%s\n' "$line" | sed 's/["\\]/\\&/g')" ;;
	esac
done`
	r := run(t, script, kozotest.Options{Storage: storage})
	wants(t, r)
	for _, c := range []struct{ line, answer string }{
		{"", `{"op":"done","id":"h"}`},
		{`{"op":"get","id":1}`, `{"op":"value","id":1,"found":false}`},
		{`{"op":"set","id":2,"value":{"n":[1,2.5,null,"é"]}}`, `{"op":"done","id":2}`},
		{`{"op":"get","id":"x"}`, `{"op":"value","id":"x","found":true,"value":{"n":[1,2.5,null,"é"]}}`},
		{`{"op":"set","id":3}`, `{"op":"error","id":3,"text":"set: \"value\" is missing"}`},
		{`{"op":"dance","id":4}`, `{"op":"error","id":4,"text":"dance: this kozo does not know the op \"dance\" of a role"}`},
		{`{"op":"event","id":5,"type":"x"}`, `{"op":"done","id":5}`},
		{`{"op":"event","id":6}`, `{"op":"error","id":6,"text":"event: an event or an order needs a type"}`},
		{`{"op":"interest","id":7,"filters":["nothing:x"]}`, `{"op":"error","id":7,"text":"interest: filter \"nothing:x\": \"nothing\" is not a kind of message; use event, order or log"}`},
		{`{"op":"interest","id":7,"filters":["*",{"role":"a b"}]}`, `{"op":"error","id":7,"text":"interest: filter number 2: \"a b\" cannot be the name of a role or a node: a name has only letters, digits, '-', '_' and '.', not ' '"}`},
		{`{"op":"counts","id":8}`, `{"op":"counts","id":8,"offered":10,"taken":10,"queued":0,"dropped":{},"sent":1}`},
		{`{"op":"ack","id":9,"count":1}`, `{"op":"error","id":9,"text":"ack: its hello has no \"window\", so there is nothing to acknowledge"}`},
	} {
		if c.line != "" {
			m, _ := kozo.NewEvent("say", nil)
			// As the script takes the data apart, a string would keep its quotes.
			if err := m.Body.UnmarshalJSON([]byte(c.line)); err != nil {
				t.Fatal(err)
			}
			r.Deliver(m)
		}
		r.Wait(c.answer, func() bool { return strings.HasSuffix(r.Out(), c.answer+"\n") })
	}
	if err := r.Stop(); err != context.Canceled {
		t.Errorf("it stopped with %v", err)
	}
	var got struct{ N []any }
	if err := storage.Load(&got); err != nil || len(got.N) != 4 {
		t.Errorf("it stored %v, %v", got, err)
	}
}

// TestNoise has a program print what is no part of the conversation.
func TestNoise(t *testing.T) {
	r := run(t, undescribed+`
echo "starting up"
echo '{"op":"hello","protocol":1}'
echo 'a stray print'; printf 'latin1: \344\n'; echo; echo '[1]'
echo 'on stderr' >&2
echo '{"op":"event","type":"a"'
printf '{"op":"event","type":"\344"}\n'
echo '{"op":"event","type":5}'; echo '{"type":"x"}'; echo '{"op":"event","type":"ok","id":[]}'
head -c 1048576 /dev/zero | tr '\0' '{'; echo
printf '%s\n' '{"op":"note","level":"error","text":"a note\nof two lines"}'; echo '{"op":"note","level":"loud"}'
echo '{"op":"event","type":"last","unknown":{"x":1}}'
cat >/dev/null`)
	r.Wait("the last event", func() bool { return len(r.Sent()) > 0 })
	if r.Sent()[0].Type != "last" || len(r.Sent()) != 1 {
		t.Errorf("it sent %v", r.Sent())
	}
	r.Wait("the standard error", func() bool { return strings.Contains(r.Log(), "on stderr") })
	r.Stop()
	for _, want := range []string{
		`level=INFO msg="the program prints" text="starting up"`, `text="a stray print"`, `text="latin1: \\xe4"`, "text=[1]",
		`level=WARN msg="the program says" text="on stderr"`,
		`text="the line is not JSON: unexpected end of JSON input, at byte 24"`,
		`the line is not valid UTF-8; bytes are written as`,
		`\"type\" should be a string, and is a JSON number`,
		`the line has no \"op\"`, `\"id\" is a number or a string`,
		`a line has more than 1048576 bytes and was skipped; it begins with {{{{`,
		`level=ERROR msg="the program notes" text="a note\nof two lines"`,
		`note: \"level\" is \"loud\"; it is debug, info, warn or error`,
	} {
		if !strings.Contains(r.Log(), want) {
			t.Errorf("the log does not say %s:\n%s", want, r.Log())
		}
	}
}

// TestFlood has a program print more than anybody can read.
func TestFlood(t *testing.T) {
	r := run(t, undescribed+`
echo '{"op":"hello","protocol":1}'
yes "it is all too much" | head -n 100000
yes "and here as well" | head -n 100000 >&2
echo '{"op":"event","type":"last"}'
cat >/dev/null`)
	r.Wait("the end of the flood", func() bool { return len(r.Sent()) == 1 })
	r.Stop()
	if lines := strings.Count(r.Log(), "\n"); lines < 100 || lines > 500 {
		t.Errorf("the log has %d lines", lines)
	}
	if !strings.Contains(r.Log(), "lines left out") {
		t.Error("nothing says that lines were left out")
	}
}

// TestFailures has programs fail in all the ways there are.
func TestFailures(t *testing.T) {
	hello := `echo '{"op":"hello","protocol":1}'` + "\n"
	for _, c := range []struct{ name, script, want string }{
		{"crash at once", `echo 'Traceback:' >&2; echo 'ValueError: no' >&2; exit 3`, "exited with status 3; it said last: ValueError: no"},
		{"exit", hello + `exit 0`, "exited with status 0, without being asked to"},
		{"signal", hello + `kill -SEGV $$`, "was ended by a signal: segmentation fault"},
		{"closed output", hello + `exec >&-; while :; do sleep 0.1; done`, "has closed its standard output and goes on"},
		{"no hello", `echo '{"op":"event","type":"x"}'; cat >/dev/null`, `its first line is "event" and not its hello`},
		{"another version", `echo '{"op":"hello","protocol":2}'; cat >/dev/null`, "it speaks version 2 of the protocol, and this kozo speaks version 1"},
		{"no version", `echo '{"op":"hello"}'; cat >/dev/null`, `its hello has no "protocol":1`},
		{"bad heartbeat", `echo '{"op":"hello","protocol":1,"heartbeat":-1}'; cat >/dev/null`, `"heartbeat" in its hello is -1`},
		{"bad window", `echo '{"op":"hello","protocol":1,"window":65537}'; cat >/dev/null`, `"window" in its hello is 65537`},
		{"no heartbeat", `echo '{"op":"hello","protocol":1,"heartbeat":0.1}'; cat >/dev/null`, "it has not answered a heartbeat for 200ms"},
		{"heartbeat stops", `echo '{"op":"hello","protocol":1,"heartbeat":0.1}'; read -r a; read -r b; echo '{"op":"pong","n":1}'; trap '' TERM; while :; do sleep 0.1; done`, "it has not answered a heartbeat for 200ms"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			failed(t, run(t, undescribed+c.script), c.want)
		})
	}
}

// TestHeartbeat has a program answer.
func TestHeartbeat(t *testing.T) {
	r := run(t, undescribed+`
echo '{"op":"hello","protocol":1,"heartbeat":0.1}'
while read -r line; do
	case $line in
	'{"op":"ping",'*) echo "{\"op\":\"pong\",\"n\":${line##*:}"; echo '{"op":"event","type":"alive"}' ;;
	esac
done`)
	r.Wait("ten heartbeats", func() bool { return len(r.Sent()) >= 10 })
	if err := r.Stop(); err != context.Canceled {
		t.Errorf("it ended with %v", err)
	}
}

// TestFinish has a program whose work is done.
func TestFinish(t *testing.T) {
	r := run(t, undescribed+`echo '{"op":"hello","protocol":1}'; echo '{"op":"finish"}'; exit 0`)
	r.Wait("its end", func() bool {
		select {
		case <-r.Done():
			return true
		default:
			return false
		}
	})
	if err := r.Err(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// TestStop stops programs that do not want to. A node gives its roles less than a
// second.
func TestStop(t *testing.T) {
	for name, script := range map[string]string{
		"reads":                `echo '{"op":"hello","protocol":1,"filters":["*"]}'; cat >/dev/null`,
		"does not read":        `echo '{"op":"hello","protocol":1,"filters":["*"]}'; while :; do sleep 0.05; done`,
		"ignores all":          `trap '' TERM; echo '{"op":"hello","protocol":1,"filters":["*"]}'; while :; do sleep 0.05; done`,
		"has not said a thing": `while :; do sleep 0.05; done`,
		"writes for ever":      `echo '{"op":"hello","protocol":1,"filters":["*"]}'; trap '' TERM PIPE; while :; do echo '{"op":"get","id":1}'; done`,
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, undescribed+script)
			if strings.Contains(script, "filters") {
				wants(t, r)
				for range 3000 {
					r.Deliver(event("e", strings.Repeat("x", 100)))
				}
			}
			begin := time.Now()
			if err := r.Stop(); err != context.Canceled {
				t.Errorf("it ended with %v", err)
			}
			if took := time.Since(begin); took > 3*time.Second {
				t.Errorf("it took %v to stop", took)
			}
		})
	}
}

// TestUnread has a program that stops reading and dies: what it has not read is
// counted, to the message.
func TestUnread(t *testing.T) {
	for name, hello := range map[string]string{
		"pipe":   `{"op":"hello","protocol":1,"filters":["*"]}`,
		"window": `{"op":"hello","protocol":1,"filters":["*"],"window":100}`,
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, undescribed+`
echo '`+hello+`'
n=0
while [ $n -lt 42 ]; do
	read -r line
	case $line in '{"op":"event",'*) n=$((n + 1)) ;; esac
done
echo '{"op":"ack","count":42}'
echo '{"op":"event","type":"read"}'
sleep 0.3
exit 1`)
			wants(t, r)
			for range 2000 {
				r.Deliver(event("e", strings.Repeat("x", 100)))
			}
			failed(t, r, "exited with status 1")
			a := r.Account()
			if a.Taken != 42 {
				t.Errorf("%d of 42 were taken; the account is %+v", a.Taken, a)
			}
			if lost := a.Dropped[kozo.Cut]; lost == 0 || a.Offered != a.Taken+a.Queued+lost {
				t.Errorf("the account is %+v", a)
			}
			if name == "window" && a.Dropped[kozo.Cut] != 100 {
				t.Errorf("with a window of 100, %d were under way", a.Dropped[kozo.Cut])
			}
		})
	}
}

// TestOversize has a message that does not fit into a line.
func TestOversize(t *testing.T) {
	r := run(t, undescribed+`
echo '{"op":"hello","protocol":1,"filters":["*"]}'
while read -r line; do
	case $line in '{"op":"event",'*) echo "{\"op\":\"event\",\"type\":\"got\",\"data\":${#line}}" ;; esac
done`)
	wants(t, r)
	r.Deliver(event("big", strings.Repeat("x", 1<<20)))
	r.Deliver(event("small", 1))
	r.Wait("the small one", func() bool { return len(r.Sent()) == 1 })
	r.Stop()
	if a := r.Account(); a.Dropped[kozo.Oversize] != 1 || a.Taken != 1 {
		t.Errorf("the account is %+v", a)
	}
	if !strings.Contains(r.Log(), "a message big from sender@peer was dropped: its line has more than 1048576 bytes") {
		t.Errorf("the log says\n%s", r.Log())
	}
}

// TestOrder keeps the order of thousands of messages both ways.
func TestOrder(t *testing.T) {
	r := run(t, undescribed+`
echo '{"op":"hello","protocol":1,"filters":["event:n"],"window":1000}'
exec sed -un 's/^{"op":"event".*"data":\([0-9]*\)}$/{"op":"ack","count":\1}\
{"op":"event","type":"back","data":\1}/p'`)
	wants(t, r)
	const n = 3000
	for i := range n {
		r.Deliver(event("n", i+1))
	}
	r.Wait("all of them", func() bool { return len(r.Sent()) == n })
	for i, m := range r.Sent() {
		if v, _ := m.Body.Value(); v != int64(i+1) {
			t.Fatalf("message %d has %v", i, v)
		}
	}
	r.Stop()
	if a := r.Account(); a.Taken != n || len(a.Dropped) != 0 {
		t.Errorf("the account is %+v", a)
	}
}
