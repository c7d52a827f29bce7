package tree_test

import (
	"fmt"
	"strings"
	"testing"

	"kozo/internal/config/tree"
)

// text writes a tree in one line.
func text(n *tree.Node) string {
	if n == nil {
		return "nothing"
	}
	switch n.Kind {
	case tree.Scalar:
		if n.Quoted {
			return fmt.Sprintf("%q", n.Text)
		}
		return n.Text
	case tree.List:
		var items []string
		for _, item := range n.Items {
			items = append(items, text(item))
		}
		return "[" + strings.Join(items, " ") + "]"
	case tree.Block:
		var entries []string
		for _, e := range n.Entries {
			entries = append(entries, e.Key+":"+text(e.Value))
		}
		return "{" + strings.Join(entries, " ") + "}"
	}
	return "~"
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ yaml, want string }{
		{"a: 1\nb: [x, 'y', \"z\"]\nc:\n", `{a:1 b:[x "y" "z"] c:~}`},
		{"a: yes\nb: ~\nc: null\nd: ''\ne: !!str 5\nf: 2001-01-01\n", `{a:yes b:~ c:~ d:"" e:"5" f:2001-01-01}`},
		{"a: |\n    x\n    y\nb: >-\n    x\n    y\n", `{a:"x\ny\n" b:"x y"}`},
		{"a: &x {b: 1, c: [2]}\nd: *x\n", `{a:{b:1 c:[2]} d:{b:1 c:[2]}}`},
		{"a: &x {b: 1, c: 2}\nd:\n    <<: *x\n    c: 3\n    e: 4\n", `{a:{b:1 c:2} d:{c:3 e:4 b:1}}`},
		{"a: &x {b: 1}\nc: &y {b: 2, d: 3}\ne: {<<: [*x, *y]}\n", `{a:{b:1} c:{b:2 d:3} e:{b:1 d:3}}`},
		{"a: &x {b: 1}\nc: &y {<<: *x, d: 2}\ne: {<<: *y}\n", `{a:{b:1} c:{d:2 b:1} e:{d:2 b:1}}`},
		{"a: &k key\n*k : 1\n\"<<\": 2\n", `{a:key key:1 <<:2}`},
		{"\ufeff%YAML 1.1\n---\na: 1\n...\n", `{a:1}`},
		{"a: 1\r\nb: 2\r\n", `{a:1 b:2}`},
		{"時: 分\n", `{時:分}`},
	} {
		root, faults := tree.Parse([]byte(c.yaml))
		if len(faults) > 0 || text(root) != c.want {
			t.Errorf("%q is %v %v, expected %s", c.yaml, text(root), faults, c.want)
		}
	}
}

func TestPlaces(t *testing.T) {
	root, faults := tree.Parse([]byte("a: &x {b: 1}\né: *x\n  \nlist:\n  - 1\n  - two\n"))
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	e, _ := root.Get("é")
	if e.Pos != (tree.Pos{Line: 2, Column: 1}) || e.Value.Pos != (tree.Pos{Line: 2, Column: 4}) {
		t.Errorf("the alias is at %v and %v", e.Pos, e.Value.Pos)
	}
	if inner := e.Value.Entries[0]; inner.Pos != (tree.Pos{Line: 1, Column: 8}) {
		t.Errorf("what it stands for is at %v", inner.Pos)
	}
	if list, _ := root.Get("list"); list.Value.Items[1].Pos != (tree.Pos{Line: 6, Column: 5}) {
		t.Errorf("the second entry is at %v", list.Value.Items[1].Pos)
	}
}

// TestFaults has what the golden files of config do not.
func TestFaults(t *testing.T) {
	deep := strings.Repeat("[", tree.MaxDepth+1) + strings.Repeat("]", tree.MaxDepth+1)
	for _, c := range []struct{ yaml, want string }{
		{"a: [b, c\nd\n", `3:1: the list that begins in line 1 is not closed`},
		{"a: {b: c\nd\n", `the block that begins in line 1 is not closed`},
		{"a: & b\n", `"&" and "*" are followed by the name of an anchor`},
		{"}\n", `1:1: expected a value here`},
		{"a: \"\\q\"\n", `unknown escape`},
		{"{a: 1}\n{b: 2}\n", `2:1: there is something after the end of the document`},
		{"a: |\n\tx\n", `2:1: a tab in the indentation`},
		{"a: 1\n\tb: 2\n", `2:1: a tab in the indentation`},
		{"a: |-5x\n  y\n", `this is not YAML`},
		{"a: " + deep, "nested more than 64 deep"},
		{"a: &x [*x]\n", `contains itself`},
		{"a: &x\n  b: &y\n    c: *x\n", `3:8: the block with the anchor "&x" contains itself`},
		{"a: &x {<<: *x}\n", `contains itself`},
		{"a: 1\nb\nc: 2\n", `2:1: expected "key: value" in this line`},
		{"a: &x [1]\nb: {<<: *x}\n", `"<<" merges blocks, and this is a single value`},
		{"a: 1\n---\n", "2:1: a second document begins here"},
		{"a: 1\n---\nb: [\n", "4:1: expected a value here"},
		{"\x00", "1:1: this is not a text file"},
		{"a: b\nc\xff", "2:2: the byte 0xff is not part of a text in UTF-8"},
		{"a: \x1b[31m\n", "1:4: the control character 0x1b"},
		{"a: '\n", "1:4: the text that begins here has no closing quote"},
		{"[" + strings.Repeat("a,", tree.MaxValues) + "]", "the file has more than 100000 values"},
		{"%YAML 3.0\n---\na: 1\n", "1:1: the version of YAML in this line is not read here"},
		{"%A b\n---\na: 1\n", "1:1: a line that begins with \"%\""},
		{"", "1:1: the file is empty"},
	} {
		_, faults := tree.Parse([]byte(c.yaml))
		if len(faults) == 0 || !strings.Contains(faults[0].Error(), c.want) {
			t.Errorf("%.40q: %v, expected %q", c.yaml, faults, c.want)
		}
	}
}

func TestLines(t *testing.T) {
	for text, want := range map[string]int{"": 1, "a": 1, "a\n": 2, "a\r\nb\rc\u2028d\u0085e": 5, "\ufeffa\n\n": 3} {
		if got := tree.Lines([]byte(text)); len(got) != want || strings.ContainsAny(strings.Join(got, ""), "\r\n\ufeff") {
			t.Errorf("%q has the lines %q", text, got)
		}
	}
}

func TestDraft(t *testing.T) {
	d, err := tree.NewDraft([]byte("# top\na: &x\n    b: 1 # one\n    c: 2\nd: *x\ne:\n    <<: *x\n    f: {g: 1}\nh: 3\n"))
	if err != nil {
		t.Fatal(err)
	}
	d.Set("new", "a", "b")
	d.Set(5, "d", "c")
	d.Set("1", "e", "f", "g")
	d.Set("x: y", "h", "i", "j")
	d.Set(7, "k", "l")
	out, err := d.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	const want = "# top\na:\n    b: new # one\n    c: 2\nd:\n    b: 1 # one\n    c: 5\ne:\n    f: {g: '1'}\n    b: 1 # one\n    c: 2\nh:\n    i:\n        j: 'x: y'\nk:\n    l: 7\n"
	if string(out) != want {
		t.Errorf("got\n%s\nexpected\n%s", out, want)
	}
	if _, err := tree.NewDraft([]byte("a: [")); err == nil {
		t.Error("a draft of a file that is not YAML")
	}
}
