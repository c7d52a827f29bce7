package kozo_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"kozo"
)

func TestCheckName(t *testing.T) {
	for _, name := range []string{
		"clock", "_", "7", "timer1", "a-b_c.d", "構造", "Küche", "a..", strings.Repeat("x", kozo.MaxName),
	} {
		if err := kozo.CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for name, want := range map[string]string{
		"":                                    "a name cannot be empty",
		strings.Repeat("é", kozo.MaxName/2+1): "the name has 66 bytes; at most 64 are allowed",
		"a\xff":                               "the name is not valid UTF-8",
		".hidden":                             "a name begins with a letter, a digit or '_', not with '.'",
		"-flag":                               "a name begins with a letter, a digit or '_', not with '-'",
		"a b":                                 "a name has only letters, digits, '-', '_' and '.', not ' '",
		"../up":                               "a name begins with a letter, a digit or '_', not with '.'",
		"a/b":                                 "a name has only letters, digits, '-', '_' and '.', not '/'",
		"a\\b":                                "a name has only letters, digits, '-', '_' and '.', not '\\\\'",
		"a@b":                                 "a name has only letters, digits, '-', '_' and '.', not '@'",
		"a:b":                                 "a name has only letters, digits, '-', '_' and '.', not ':'",
		"a\n":                                 "a name has only letters, digits, '-', '_' and '.', not '\\n'",
		"a\u202eb":                            "a name has only letters, digits, '-', '_' and '.', not '\\u202e'",
		"\x00":                                "a name begins with a letter, a digit or '_', not with '\\x00'",
	} {
		if err := kozo.CheckName(name); err == nil || err.Error() != want {
			t.Errorf("%q: got  %v\nwant %s", name, err, want)
		}
	}
}

// FuzzCheckName: a name can be a file name, a word of a filter and a word on a
// terminal.
func FuzzCheckName(f *testing.F) {
	for _, name := range []string{"clock", "a.b-c", "構造", "..", "a/b", "a\x00", "\xff", "a@b"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		err := kozo.CheckName(name)
		if err != nil {
			if !utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\n\x00\x1b") {
				t.Fatalf("%q: the error is %q", name, err)
			}
			return
		}
		if strings.ContainsAny(name, "/\\@:* \n\x00") || name[0] == '.' || kozo.Printable(name) != name {
			t.Fatalf("%q is a name", name)
		}
		filter := kozo.Filter{Role: kozo.RoleName(name), Node: kozo.NodeName(name)}
		if back, err := kozo.ParseFilter(filter.String()); err != nil || back != filter {
			t.Fatalf("%q: the filter %s is read as %#v, %v", name, filter, back, err)
		}
	})
}

func TestPolicy(t *testing.T) {
	for policy, word := range map[kozo.Policy]string{
		kozo.Constant: "constant", kozo.OnDemand: "ondemand", kozo.Never: "never",
	} {
		text, err := policy.MarshalText()
		back := kozo.Policy(99)
		if err2 := back.UnmarshalText([]byte(word)); string(text) != word || err != nil || err2 != nil || back != policy {
			t.Errorf("%d: %q, %v, read as %d, %v", policy, text, err, back, err2)
		}
	}
	p := kozo.Never
	err := p.UnmarshalText([]byte("Always"))
	if want := `"Always" is not a policy; use constant, ondemand or never`; err == nil || err.Error() != want || p != kozo.Never {
		t.Errorf("got %v, %v", p, err)
	}
	if got := kozo.Policy(7).String(); got != "policy(7)" {
		t.Errorf("7 is %s", got)
	}

	const c, o, n = kozo.Constant, kozo.OnDemand, kozo.Never
	for _, row := range [][3]kozo.Policy{
		{c, c, c}, {c, o, o}, {c, n, n}, {o, c, o}, {o, o, o}, {o, n, n}, {n, c, n}, {n, o, n}, {n, n, n},
	} {
		if got := row[0].Combine(row[1]); got != row[2] {
			t.Errorf("%s to others and %s to self make %s, not %s", row[0], row[1], got, row[2])
		}
	}
}

func TestCauses(t *testing.T) {
	seen := map[kozo.Cause]bool{}
	for _, cause := range kozo.Causes() {
		if cause == "" || seen[cause] {
			t.Errorf("cause %q", cause)
		}
		seen[cause] = true
	}
	for _, cause := range []kozo.Cause{
		kozo.QueueFull, kozo.Expired, kozo.Oversize, kozo.Cut, kozo.InboxFull, kozo.Undecodable, kozo.Refused,
	} {
		if !seen[cause] {
			t.Errorf("%s is not listed", cause)
		}
	}
}

func TestRoleRef(t *testing.T) {
	if got := (kozo.RoleRef{Node: "clock", Role: "timer1"}).String(); got != "timer1@clock" {
		t.Error(got)
	}
}

func TestFilterMatch(t *testing.T) {
	m := kozo.Message{
		Kind: kozo.Event, Type: "tick", Channel: "lamp", From: kozo.RoleRef{Node: "clock", Role: "timer1"},
	}
	full := kozo.Filter{Kind: kozo.Event, Type: "tick", Channel: "lamp", Role: "timer1", Node: "clock"}
	for _, f := range []kozo.Filter{
		{}, full, {Kind: kozo.Event}, {Type: "tick"}, {Channel: "lamp"}, {Role: "timer1"}, {Node: "clock"},
	} {
		if !f.Match(&m) {
			t.Errorf("%s does not match", f)
		}
	}
	// Each field alone is enough to refuse the message.
	for i, change := range []func(*kozo.Filter){
		func(f *kozo.Filter) { f.Kind = kozo.Order },
		func(f *kozo.Filter) { f.Kind = 77 },
		func(f *kozo.Filter) { f.Type = "Tick" },
		func(f *kozo.Filter) { f.Channel = "lam" },
		func(f *kozo.Filter) { f.Role = "timer" },
		func(f *kozo.Filter) { f.Node = "clock2" },
	} {
		f := full
		if change(&f); f.Match(&m) {
			t.Errorf("change %d: %s matches", i, f)
		}
	}
	if f := (kozo.Filter{Channel: "lamp"}); f.Match(&kozo.Message{Kind: kozo.Event, Type: "tick"}) {
		t.Error("a filter for a channel matches a message without one")
	}
}

func TestFilterCheck(t *testing.T) {
	good := kozo.Filter{Kind: kozo.Log, Type: strings.Repeat("x", kozo.MaxField), Channel: "a b", Role: "timer1", Node: "構造"}
	for _, f := range []kozo.Filter{{}, good} {
		if err := f.Check(); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
	for want, change := range map[string]func(*kozo.Filter){
		kozo.ErrKind.Error():                                 func(f *kozo.Filter) { f.Kind = kozo.Log + 1 },
		kozo.ErrField.Error():                                func(f *kozo.Filter) { f.Type += "x" },
		kozo.ErrFieldText.Error():                            func(f *kozo.Filter) { f.Channel = "\xff" },
		`"two words" cannot be the name of a role or a node`: func(f *kozo.Filter) { f.Role = "two words" },
		"at most 64 are allowed":                             func(f *kozo.Filter) { f.Node = kozo.NodeName(strings.Repeat("x", kozo.MaxName+1)) },
	} {
		f := good
		change(&f)
		if err := f.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", f, err, want)
		}
	}
}

func TestFilterText(t *testing.T) {
	for text, want := range map[string]kozo.Filter{
		"*":                            {},
		"event":                        {Kind: kozo.Event},
		"*:tick":                       {Type: "tick"},
		"order:*:lamp":                 {Kind: kozo.Order, Channel: "lamp"},
		"order:switch:a:b":             {Kind: kozo.Order, Type: "switch", Channel: "a:b"},
		"event:front door":             {Kind: kozo.Event, Type: "front door"},
		"* from timer1@*":              {Role: "timer1"},
		"* from *@clock":               {Node: "clock"},
		"log:warn from logger@clock":   {Kind: kozo.Log, Type: "warn", Role: "logger", Node: "clock"},
		"*:*:lamp from message.inj@構造": {Channel: "lamp", Role: "message.inj", Node: "構造"},
	} {
		if got, err := kozo.ParseFilter(text); err != nil || got != want {
			t.Errorf("%q is read as %#v, %v", text, got, err)
		}
		if got := want.String(); got != text {
			t.Errorf("%#v is written %q, not %q", want, got, text)
		}
	}
	for text, want := range map[string]kozo.Filter{
		"":                    {},
		" event:tick ":        {Kind: kozo.Event, Type: "tick"},
		":tick":               {Type: "tick"},
		" event : tick : * ":  {Kind: kozo.Event, Type: "tick"},
		"event::":             {Kind: kozo.Event},
		"from timer1":         {Role: "timer1"},
		"order  from  @clock": {Kind: kozo.Order, Node: "clock"},
		"event:from":          {Kind: kozo.Event, Type: "from"},
		"* from *":            {},
		"* from timer1@":      {Role: "timer1"},
	} {
		if got, err := kozo.ParseFilter(text); err != nil || got != want {
			t.Errorf("%q is read as %#v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"Event":            `"Event" is not a kind of message; use event, order or log`,
		"tick":             `"tick" is not a kind of message; use event, order or log`,
		"event from":       `expected ROLE, ROLE@NODE or @NODE after "from"`,
		"* from a@b@c":     `"a@b@c" after "from" is not ROLE, ROLE@NODE or @NODE: a name has only letters, digits, '-', '_' and '.', not '@'`,
		"* from a or b":    `"a or b" after "from" is not ROLE, ROLE@NODE or @NODE: a name has only letters, digits, '-', '_' and '.', not ' '`,
		"event from x*@ab": `"x*@ab" after "from" is not ROLE, ROLE@NODE or @NODE: a name has only letters, digits, '-', '_' and '.', not '*'`,
	} {
		if got, err := kozo.ParseFilter(text); err == nil || err.Error() != want || got != (kozo.Filter{}) {
			t.Errorf("%q: %#v, %v", text, got, err)
		}
	}
}

// FuzzParseFilter: what is read can be written and is read again as the same.
func FuzzParseFilter(f *testing.F) {
	for _, text := range []string{"*", "event:tick", "order:a:b:c from r@n", " from @n", "log from", ":*:*", "event: from x"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		filter, err := kozo.ParseFilter(text)
		if err != nil {
			return
		}
		back, err := kozo.ParseFilter(filter.String())
		if err != nil || back != filter {
			t.Fatalf("%q is read as %#v, written %q and read as %#v, %v", text, filter, filter, back, err)
		}
	})
}
