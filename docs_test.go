package kozo_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kozo/internal/config"
	"kozo/internal/secure"
	"kozo/standard"
)

// TestLinks follows the links between the documents to files that exist.
func TestLinks(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	more := documents(t)
	link := regexp.MustCompile(`\]\(([^)#\s]+)(#[^)]*)?\)`)
	found := 0
	for _, page := range append(pages, more...) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			found++
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", page, m[1])
			}
		}
	}
	if found == 0 {
		t.Error("no page has a link; the test has gone blind")
	}
}

// documents returns the pages in docs, and in its directories.
func documents(t *testing.T) []string {
	t.Helper()
	var pages []string
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, found...)
	}
	return pages
}

// TestPagesOfRoles looks at the page that each role which ships has: it shows a
// configuration that is right, and all options with their defaults.
func TestPagesOfRoles(t *testing.T) {
	key, err := secure.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range standard.Registry().Roles() {
		page := "docs/roles/" + typ.Name + ".md"
		text := read(t, page)
		_, rest, ok := strings.Cut(text, "```yaml\n")
		if !ok {
			t.Errorf("%s shows no configuration", page)
			continue
		}
		block, _, _ := strings.Cut(rest, "```")
		block = regexp.MustCompile(`ssh-ed25519 AAAA….*`).ReplaceAllString(block, key.Public().Line())
		file, err := config.Parse(page, []byte(block), config.Types{Registry: standard.Registry()})
		if err != nil {
			t.Errorf("%s: %v", page, err)
			continue
		}
		used := false
		for _, n := range file.System.Nodes {
			for _, r := range n.Roles {
				used = used || r.Type == typ.Name
			}
		}
		if !used {
			t.Errorf("%s does not show the role", page)
		}
		for _, o := range typ.Options {
			row := regexp.MustCompile("(?m)^\\| `" + o.Name + "` \\| (.*?) \\|").FindStringSubmatch(text)
			if row == nil {
				t.Errorf("%s has no row for the option %s", page, o.Name)
			} else if shown := strings.Trim(row[1], "`\""); o.Default != "" && shown != o.Default {
				t.Errorf("%s: the default of %s is %q, and the page says %s", page, o.Name, o.Default, row[1])
			}
		}
	}
}

// TestReadmeNetwork checks the configuration that the README shows.
func TestReadmeNetwork(t *testing.T) {
	_, rest, ok := strings.Cut(read(t, "README.md"), "```yaml\n")
	if !ok {
		t.Fatal("the README shows no configuration")
	}
	text, _, _ := strings.Cut(rest, "```")
	file, err := config.Parse("README.md", []byte(text), config.Types{Registry: standard.Registry()})
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Warnings) > 0 || len(file.System.Nodes) != 2 {
		t.Errorf("%d nodes, warnings %v", len(file.System.Nodes), file.Warnings)
	}
}

// TestScalingNetworks checks the configurations that docs/scaling.md shows.
func TestScalingNetworks(t *testing.T) {
	parts := strings.Split(read(t, "docs/scaling.md"), "```yaml\n")
	for i, part := range parts[1:] {
		text, _, _ := strings.Cut(part, "```")
		file, err := config.Parse("docs/scaling.md", []byte(text), config.Types{Registry: standard.Registry()})
		if err != nil {
			t.Errorf("configuration %d: %v", i+1, err)
		} else if len(file.Warnings) > 0 || len(file.System.Nodes) != 2 {
			t.Errorf("configuration %d: %d nodes, warnings %v", i+1, len(file.System.Nodes), file.Warnings)
		}
	}
	if len(parts) == 1 {
		t.Error("it shows none; the test has gone blind")
	}
}

// TestReadmeNamesWhatShips compares the README with the types that there are.
func TestReadmeNamesWhatShips(t *testing.T) {
	readme := read(t, "README.md")
	types := standard.Registry()
	for _, r := range types.Roles() {
		if !strings.Contains(readme, "`"+r.Name+"`") {
			t.Errorf("the README does not name the role %s", r.Name)
		}
	}
	for _, tr := range types.Transports() {
		if !strings.Contains(readme, "`"+tr.Name+"`") {
			t.Errorf("the README does not name the transport %s", tr.Name)
		}
	}
}

// TestTourNamesEveryRoom compares the map for people with the map for the test.
func TestTourNamesEveryRoom(t *testing.T) {
	tour := read(t, "docs/architecture.md")
	for _, dir := range slices.Sorted(maps.Keys(rooms)) {
		if dir == "." || strings.HasPrefix(dir, "roles/") || strings.HasPrefix(dir, "transports/") {
			continue // drawn as one
		}
		if !regexp.MustCompile(`(?m)^  ` + regexp.QuoteMeta(dir) + ` `).MatchString(tour) {
			t.Errorf("docs/architecture.md does not draw %s", dir)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
