package vmlab

import (
	"strings"
	"testing"
)

func TestCollect(t *testing.T) {
	events := strings.Join([]string{
		`{"Action":"start"}`,
		`{"Action":"run","Test":"TestX"}`,
		`{"Action":"output","Test":"TestX","Output":"=== RUN   TestX\n"}`,
		`{"Action":"run","Test":"TestX/a"}`,
		`{"Action":"output","Test":"TestX/a","Output":"    x_test.go:1: a word\n"}`,
		`{"Action":"run","Test":"TestX/a/deep"}`,
		`{"Action":"skip","Test":"TestX/a/deep","Elapsed":0.5}`,
		`{"Action":"output","Test":"TestX/a","Output":"    --- FAIL: TestX/a (1.50s)\n"}`,
		`{"Action":"fail","Test":"TestX/a","Elapsed":1.5}`,
		`{"Action":"run","Test":"TestX/b"}`,
		`{"Action":"output","Output":"panic: test timed out\n"}`,
	}, "\n")
	root, rest, err := collect([]byte(events), "TestX")
	if err != nil {
		t.Fatal(err)
	}
	if root.outcome != "" || len(root.children) != 2 || rest != "panic: test timed out\n" {
		t.Fatalf("%+v, %q", root, rest)
	}
	a, b := root.children[0], root.children[1]
	if a.name != "a" || a.outcome != "fail" || a.elapsed != 1.5 || a.output.String() != "    x_test.go:1: a word\n" {
		t.Errorf("%+v", a)
	}
	if len(a.children) != 1 || a.children[0].name != "deep" || a.children[0].outcome != "skip" {
		t.Errorf("%+v", a.children)
	}
	if b.name != "b" || b.outcome != "" {
		t.Errorf("%+v", b)
	}
	if _, _, err := collect([]byte("not JSON\n"), "TestX"); err == nil {
		t.Error("it takes what is no event")
	}
}
