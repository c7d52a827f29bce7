package kozo_test

import (
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"kozo"
)

func scalar(text string) kozo.Raw { return kozo.Raw{Text: text} }

func list(words ...string) kozo.Raw {
	raw := kozo.Raw{IsList: true}
	for _, w := range words {
		raw.List = append(raw.List, scalar(w))
	}
	return raw
}

func TestOptionParse(t *testing.T) {
	for _, test := range []struct {
		option kozo.Option
		raw    kozo.Raw
		want   any
	}{
		{kozo.Option{Type: kozo.TypeString}, scalar(" as it is "), " as it is "},
		{kozo.Option{Type: kozo.TypeString}, scalar(""), ""},
		{kozo.Option{Type: kozo.TypeString, OneOf: []string{"fast", "slow"}}, scalar("slow"), "slow"},
		{kozo.Option{Type: kozo.TypePath}, scalar("/var/lib/kozo/my key"), kozo.Path("/var/lib/kozo/my key")},
		{kozo.Option{Type: kozo.TypeBool}, scalar("yes"), true},
		{kozo.Option{Type: kozo.TypeBool}, scalar("True"), true},
		{kozo.Option{Type: kozo.TypeBool}, scalar("ON"), true},
		{kozo.Option{Type: kozo.TypeBool}, scalar("NO"), false},
		{kozo.Option{Type: kozo.TypeBool}, scalar("off"), false},
		{kozo.Option{Type: kozo.TypeInt}, scalar("-7"), -7},
		{kozo.Option{Type: kozo.TypeInt}, scalar("0"), 0},
		{kozo.Option{Type: kozo.TypeInt}, scalar(" 1_000 "), 1000},
		{kozo.Option{Type: kozo.TypeInt}, scalar("0x10"), 16},
		{kozo.Option{Type: kozo.TypeInt}, scalar("0o10"), 8},
		{kozo.Option{Type: kozo.TypeInt}, scalar(strconv.Itoa(math.MinInt)), math.MinInt},
		{kozo.Option{Type: kozo.TypeInt, Min: "1", Max: "3"}, scalar("1"), 1},
		{kozo.Option{Type: kozo.TypeInt, Min: "1", Max: "3"}, scalar("3"), 3},
		{kozo.Option{Type: kozo.TypePort}, scalar("1"), kozo.Port(1)},
		{kozo.Option{Type: kozo.TypePort}, scalar("65535"), kozo.Port(65535)},
		{kozo.Option{Type: kozo.TypeNumber}, scalar("-1.5e3"), -1500.0},
		{kozo.Option{Type: kozo.TypeNumber}, scalar("010"), 10.0},
		{kozo.Option{Type: kozo.TypeDuration}, scalar("0.5"), 500 * time.Millisecond},
		{kozo.Option{Type: kozo.TypeDuration}, scalar("10"), 10 * time.Second},
		{kozo.Option{Type: kozo.TypeDuration}, scalar("1h30m"), 90 * time.Minute},
		{kozo.Option{Type: kozo.TypeDuration}, scalar("0.1"), 100 * time.Millisecond},
		{kozo.Option{Type: kozo.TypeDuration}, scalar("-1s"), -time.Second},
		{kozo.Option{Type: kozo.TypeDuration, Min: "0.1", Max: "1m"}, scalar("100ms"), 100 * time.Millisecond},
		{kozo.Option{Type: kozo.TypeDuration, Min: "0.1", Max: "1m"}, scalar("60"), time.Minute},
		{kozo.Option{Type: kozo.TypeSize}, scalar("0"), kozo.Size(0)},
		{kozo.Option{Type: kozo.TypeSize}, scalar("4096"), kozo.Size(4096)},
		{kozo.Option{Type: kozo.TypeSize}, scalar("4MiB"), kozo.Size(4 << 20)},
		{kozo.Option{Type: kozo.TypeSize}, scalar("1.5 KiB"), kozo.Size(1536)},
		{kozo.Option{Type: kozo.TypeSize}, scalar("2kB"), kozo.Size(2000)},
		{kozo.Option{Type: kozo.TypeSize}, scalar("1GB"), kozo.Size(1e9)},
		{kozo.Option{Type: kozo.TypeSize}, scalar("3GiB"), kozo.Size(3 << 30)},
		{kozo.Option{Type: kozo.TypeSize}, scalar("12B"), kozo.Size(12)},
		{kozo.Option{Type: kozo.TypeSize, Min: "1KiB", Max: "1MiB"}, scalar("1MiB"), kozo.Size(1 << 20)},
		{kozo.Option{Type: kozo.TypeList}, scalar(" a, b ,,c "), kozo.List{"a", "b", "c"}},
		{kozo.Option{Type: kozo.TypeList}, scalar(""), kozo.List(nil)},
		{kozo.Option{Type: kozo.TypeList}, list("a, b", "", " c "), kozo.List{"a, b", "c"}},
		{kozo.Option{Type: kozo.TypePaths}, list("/a:b", "/c"), kozo.Paths{"/a:b", "/c"}},
	} {
		got, err := test.option.Parse(test.raw)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s %q: got %#v, %v; want %#v", test.option.Type, test.raw.Text, got, err, test.want)
		}
	}
}

// A number that the machine cannot hold is refused, not wrapped around. Run this
// with GOARCH=386, too.
func TestOptionWidth(t *testing.T) {
	got, err := kozo.Option{Type: kozo.TypeInt}.Parse(scalar("5000000000"))
	if strconv.IntSize == 32 {
		if err == nil {
			t.Errorf("got %v", got)
		}
	} else if i, ok := got.(int); err != nil || !ok || int64(i) != 5000000000 {
		t.Errorf("got %v, %v", got, err)
	}
}

// These texts are read by people, at the line of the file where the value is.
func TestOptionErrors(t *testing.T) {
	for _, test := range []struct {
		option kozo.Option
		raw    kozo.Raw
		want   string
	}{
		{kozo.Option{Type: kozo.TypeString}, list("a"), "expected a string, found a list"},
		{kozo.Option{Type: kozo.TypePath}, list("a"), "expected a path, found a list"},
		{kozo.Option{Type: kozo.TypePort}, list(), "expected a port number, found a list"},
		{kozo.Option{Type: kozo.TypeString, OneOf: []string{"fast", "slow"}}, scalar("Fast"), `expected one of fast, slow, found "Fast"`},
		{kozo.Option{Type: kozo.TypePath}, scalar("a\x00b"), "a path cannot contain a zero byte"},
		{kozo.Option{Type: kozo.TypeBool}, scalar("maybe"), `expected true or false, found "maybe"`},
		{kozo.Option{Type: kozo.TypeBool}, scalar("1"), `expected true or false, found "1"`},
		{kozo.Option{Type: kozo.TypeInt}, scalar("many"), `expected a whole number, found "many"`},
		{kozo.Option{Type: kozo.TypeInt}, scalar(""), `expected a whole number, found ""`},
		{kozo.Option{Type: kozo.TypeInt}, scalar("1.5"), `expected a whole number, found "1.5"`},
		{kozo.Option{Type: kozo.TypeInt}, scalar("99999999999999999999"), "the number 99999999999999999999 is too large for this machine"},
		{kozo.Option{Type: kozo.TypeInt}, scalar("-010"), "a number does not begin with 0, as -010 does; it could be taken for an octal one"},
		{kozo.Option{Type: kozo.TypeInt, Min: "1"}, scalar("0"), "expected at least 1, found 0"},
		{kozo.Option{Type: kozo.TypeInt, Max: "3"}, scalar("4"), "expected at most 3, found 4"},
		{kozo.Option{Type: kozo.TypePort}, scalar("http"), `expected a port number, found "http"`},
		{kozo.Option{Type: kozo.TypePort}, scalar("0"), "a port is a number from 1 to 65535, not 0"},
		{kozo.Option{Type: kozo.TypePort}, scalar("65536"), "a port is a number from 1 to 65535, not 65536"},
		{kozo.Option{Type: kozo.TypePort}, scalar("99999999999999999999"), "a port is a number from 1 to 65535, not 99999999999999999999"},
		{kozo.Option{Type: kozo.TypePort}, scalar("0800"), "a number does not begin with 0, as 0800 does; it could be taken for an octal one"},
		{kozo.Option{Type: kozo.TypeNumber}, scalar("warm"), `expected a number, found "warm"`},
		{kozo.Option{Type: kozo.TypeNumber}, scalar("NaN"), `expected a number, found "NaN"`},
		{kozo.Option{Type: kozo.TypeNumber}, scalar("inf"), `expected a number, found "inf"`},
		{kozo.Option{Type: kozo.TypeNumber, Max: "0.5"}, scalar("0.75"), "expected at most 0.5, found 0.75"},
		{kozo.Option{Type: kozo.TypeDuration}, scalar("soon"), `expected a number of seconds or a duration like 500ms, found "soon"`},
		{kozo.Option{Type: kozo.TypeDuration}, scalar("nan"), `expected a number of seconds or a duration like 500ms, found "nan"`},
		{kozo.Option{Type: kozo.TypeDuration}, scalar("10 s"), `expected a number of seconds or a duration like 500ms, found "10 s"`},
		{kozo.Option{Type: kozo.TypeDuration}, scalar("1e12"), `expected at most 100 years, found "1e12"`},
		{kozo.Option{Type: kozo.TypeDuration}, scalar("-inf"), `expected at most 100 years, found "-inf"`},
		{kozo.Option{Type: kozo.TypeDuration}, scalar("2000000h"), `expected at most 100 years, found "2000000h"`},
		{kozo.Option{Type: kozo.TypeDuration, Min: "0.1"}, scalar("50ms"), "expected at least 0.1 seconds, found 50ms"},
		{kozo.Option{Type: kozo.TypeDuration, Max: "1h"}, scalar("3601"), "expected at most 1h, found 1h0m1s"},
		{kozo.Option{Type: kozo.TypeSize}, scalar("big"), `expected a number of bytes or a size like 4MiB, found "big"`},
		{kozo.Option{Type: kozo.TypeSize}, scalar("MiB"), `expected a number of bytes or a size like 4MiB, found "MiB"`},
		{kozo.Option{Type: kozo.TypeSize}, scalar("nan"), `expected a number of bytes or a size like 4MiB, found "nan"`},
		{kozo.Option{Type: kozo.TypeSize}, scalar("-1KiB"), "a size is not negative, as -1KiB is"},
		{kozo.Option{Type: kozo.TypeSize}, scalar("inf"), "the size inf is too large"},
		{kozo.Option{Type: kozo.TypeSize}, scalar("9007199254740992"), "the size 9007199254740992 is too large"},
		{kozo.Option{Type: kozo.TypeSize, Min: "1KiB"}, scalar("512"), "expected at least 1KiB, found 512"},
		{kozo.Option{Type: kozo.TypeSize, Max: "1MiB"}, scalar("2048KiB"), "expected at most 1MiB, found 2MiB"},
		{
			kozo.Option{Type: kozo.TypeList},
			kozo.Raw{IsList: true, List: []kozo.Raw{scalar("a"), list("b")}},
			"entry 2 of the list is a list itself",
		},
		{kozo.Option{Type: "colour"}, scalar("red"), `the option has the unknown type "colour"`},
	} {
		got, err := test.option.Parse(test.raw)
		if err == nil || err.Error() != test.want || got != nil {
			t.Errorf("%s %q: got %v, %v\nwant %s", test.option.Type, test.raw.Text, got, err, test.want)
		}
	}
}

// FuzzOptionParse: no text of a file does harm, and what is taken is in its
// bounds.
func FuzzOptionParse(f *testing.F) {
	for _, text := range []string{"", "0", "-010", "1e309", "0x1p-2", "4MiB", "1h", "inf", "a,b", "true", "0_8"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, o := range []kozo.Option{
			{Type: kozo.TypeString}, {Type: kozo.TypeBool}, {Type: kozo.TypePath}, {Type: kozo.TypePort},
			{Type: kozo.TypeInt, Min: "-5", Max: "5"}, {Type: kozo.TypeNumber, Min: "-5", Max: "5"},
			{Type: kozo.TypeDuration, Min: "-5", Max: "5"}, {Type: kozo.TypeSize, Max: "5KiB"},
			{Type: kozo.TypeList}, {Type: kozo.TypePaths},
		} {
			v, err := o.Parse(scalar(text))
			if err != nil {
				continue
			}
			ok := true
			switch v := v.(type) {
			case kozo.Port:
				ok = v >= 1 && v <= 65535
			case int:
				ok = v >= -5 && v <= 5
			case float64:
				ok = v >= -5 && v <= 5
			case time.Duration:
				ok = v.Abs() <= 5*time.Second
			case kozo.Size:
				ok = v >= 0 && v <= 5<<10
				if back, err := o.Parse(scalar(v.String())); err != nil || back != v {
					t.Fatalf("%q: the size %s is read as %v, %v", text, v, back, err)
				}
			case kozo.List:
				for _, word := range v {
					ok = ok && word != "" && strings.TrimSpace(word) == word
				}
			}
			if !ok {
				t.Fatalf("%s: %q is %#v", o.Type, text, v)
			}
		}
	})
}

func TestSizeString(t *testing.T) {
	for size, want := range map[kozo.Size]string{
		0: "0", 1: "1", 1000: "1000", 1024: "1KiB", 1536: "1536", 4 << 20: "4MiB", 1<<20 + 1<<10: "1025KiB", 3 << 30: "3GiB",
	} {
		if got := size.String(); got != want {
			t.Errorf("%d is %s, not %s", int64(size), got, want)
		}
	}
}

type everyOption struct {
	Text   string        `option:"text" doc:"required"`
	Mode   string        `option:"mode" default:"fast" oneof:"fast,slow" doc:"one of two"`
	Flag   bool          `option:"flag" default:"yes"`
	Count  int           `option:"count" default:"3" min:"1" max:"9"`
	Ratio  float64       `option:"ratio" default:"0.5"`
	Wait   time.Duration `option:"wait" default:"1.5"`
	Room   kozo.Size     `option:"room" default:"4KiB"`
	Words  kozo.List     `option:"words" default:"a, b"`
	Dirs   kozo.Paths    `option:"dirs" default:""`
	File   kozo.Path     `option:"file" default:"key"`
	Port   kozo.Port     `option:"port" default:"7050"`
	Unset  kozo.Port     `option:"unset" default:""`
	Beside chan int
}

func TestOptionsOf(t *testing.T) {
	options, err := kozo.OptionsOf(reflect.TypeFor[everyOption]())
	if err != nil || len(options) != 12 {
		t.Fatalf("%d options, %v", len(options), err)
	}
	if want := (kozo.Option{Name: "text", Type: kozo.TypeString, Required: true, Doc: "required"}); !reflect.DeepEqual(options[0], want) {
		t.Errorf("got %+v", options[0])
	}
	if want := (kozo.Option{
		Name: "mode", Type: kozo.TypeString, Default: "fast", Doc: "one of two", OneOf: []string{"fast", "slow"},
	}); !reflect.DeepEqual(options[1], want) {
		t.Errorf("got %+v", options[1])
	}
	if want := (kozo.Option{Name: "count", Type: kozo.TypeInt, Default: "3", Min: "1", Max: "9"}); !reflect.DeepEqual(options[3], want) {
		t.Errorf("got %+v", options[3])
	}
	if v, err := options[0].DefaultValue(); v != nil || err != nil {
		t.Errorf("a required option has the default %v, %v", v, err)
	}
}

func TestDecode(t *testing.T) {
	var got everyOption
	if err := (kozo.Values{"text": "given", "count": 7, "unknown": 1}).Decode(&got); err != nil {
		t.Fatal(err)
	}
	want := everyOption{
		Text: "given", Mode: "fast", Flag: true, Count: 7, Ratio: 0.5, Wait: 1500 * time.Millisecond, Room: 4096,
		Words: kozo.List{"a", "b"}, File: "key", Port: 7050,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	for _, test := range []struct {
		values       kozo.Values
		option, want string
	}{
		{kozo.Values{}, "text", "text: this option is required"},
		{kozo.Values{"text": 3}, "text", "text: expected a string, found the Go type int"},
		{kozo.Values{"text": nil}, "text", "text: expected a string, found the Go type <nil>"},
		{kozo.Values{"text": "", "wait": 3}, "wait", "wait: expected a number of seconds or a duration like 500ms, found the Go type int"},
		{kozo.Values{"text": "", "dirs": []string{}}, "dirs", "dirs: expected a list of directories, or directories with colons between them, found the Go type []string"},
	} {
		err := test.values.Decode(&everyOption{})
		o, ok := errors.AsType[*kozo.OptionError](err)
		if !ok || o.Option != test.option || err.Error() != test.want {
			t.Errorf("%v: %v", test.values, err)
		}
	}
	if err := (kozo.Values{}).Decode(new(int)); err == nil {
		t.Error("an int has options")
	}
}

// Mistakes in a program are found when its types are defined, not when somebody
// writes a file that happens to need the tag.
func TestOptionMistakes(t *testing.T) {
	for _, test := range []struct {
		options any
		want    string
	}{
		{7, "options are the fields of a struct, and int is none"},
		{struct {
			C chan int `option:"c"`
		}{}, "cannot hold an option"},
		{struct {
			I int64 `option:"i"`
		}{}, "cannot hold an option"},
		{struct {
			i int `option:"i"`
		}{}, "cannot hold an option"},
		{struct {
			I int `option:"i" default:"many"`
		}{}, `the default: expected a whole number, found "many"`},
		{struct {
			I int `option:"i" default:"7" max:"5"`
		}{}, "the default: expected at most 5, found 7"},
		{struct {
			S string `option:"s" default:"c" oneof:"a,b"`
		}{}, `the default: expected one of a, b, found "c"`},
		{struct {
			I int `option:"i" oneof:"1,2"`
		}{}, "only a string can be one of some words, not a whole number"},
		{struct {
			D time.Duration `option:"d" min:"soon"`
		}{}, `"soon" cannot be a bound of a number of seconds or a duration like 500ms`},
		{struct {
			S string `option:"s" max:"5"`
		}{}, `"5" cannot be a bound of a string`},
		{struct {
			A int `option:"same"`
			B int `option:"same"`
		}{}, `option "same"`},
		{struct {
			A int `option:""`
		}{}, "a name cannot be empty"},
		{struct {
			A int `option:"two words"`
		}{}, "not ' '"},
	} {
		if _, err := kozo.OptionsOf(reflect.TypeOf(test.options)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%T: got %v, want %s", test.options, err, test.want)
		}
	}
}

func TestOptionError(t *testing.T) {
	cause := errors.New("it is broken")
	if e := (&kozo.OptionError{Option: "file", Err: cause}); e.Error() != "file: it is broken" || !errors.Is(e, cause) {
		t.Error(e)
	}
	if e := kozo.Errorf("", "the block: %w", cause); e.Error() != "the block: it is broken" || !errors.Is(e, cause) {
		t.Error(e)
	}
}
