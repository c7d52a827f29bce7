package python

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the examples into docs/python.md")

// TestDocs compares the examples in the documentation with the files that other
// tests run.
func TestDocs(t *testing.T) {
	page := filepath.Join("..", "..", "docs", "python.md")
	old, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	example := regexp.MustCompile("(?s)<!-- example: (\\S+) -->\n```python\n.*?```\n")
	text := example.ReplaceAllStringFunc(string(old), func(block string) string {
		name := example.FindStringSubmatch(block)[1]
		found[name] = true
		code, err := os.ReadFile(filepath.Join("examples", name))
		if err != nil {
			t.Fatal(err)
		}
		return "<!-- example: " + name + " -->\n```python\n" + string(code) + "```\n"
	})
	if len(found) < 3 {
		t.Error("the page has lost its examples:", found)
	}
	if text == string(old) {
		return
	}
	if !*update {
		t.Fatal("the examples in docs/python.md are not those of sdk/python/examples; run go test ./sdk/python -run TestDocs -update")
	}
	if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDocsNameEverything looks for the methods that a role or a transport has in
// the documentation.
func TestDocsNameEverything(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "python.md"))
	if err != nil {
		t.Fatal(err)
	}
	method := regexp.MustCompile(`(?m)^    def ([a-z]\w+)\(`)
	for _, file := range []string{"role.py", "transport.py", "messages.py", "nodes.py", "options.py"} {
		text, err := files.ReadFile("kozo/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range method.FindAllStringSubmatch(string(text), -1) {
			if internal := m[1] == "schema" || m[1] == "values" || m[1] == "kill"; internal {
				continue
			}
			if !strings.Contains(string(page), m[1]+"(") {
				t.Errorf("docs/python.md does not explain %s of %s", m[1], file)
			}
		}
	}
}
