package kozo_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kozo/internal/config"
	"kozo/internal/extern"
	"kozo/internal/secure"
	"kozo/standard"
)

// TestLinks follows the links between the documents to files, and headings, that
// exist.
func TestLinks(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	more := documents(t)
	link := regexp.MustCompile(`\]\(([^)#\s]*)(?:#([^)]*))?\)`)
	found := 0
	for _, page := range append(pages, more...) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			found++
			target := page
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(page), m[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", page, m[1])
			} else if m[2] != "" && !slices.Contains(anchors(read(t, target)), m[2]) {
				t.Errorf("%s: %s has no heading #%s", page, target, m[2])
			}
		}
	}
	if found == 0 {
		t.Error("no page has a link; the test has gone blind")
	}
}

// anchors are the names of a page's headings, as those who show such pages make
// them.
func anchors(page string) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(page, -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
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

// TestConfigurationsOfTheDocuments checks every configuration that a page shows,
// as kozo check does. The pages of roles show only the node that has the role,
// those about programs only what is new in the file.
func TestConfigurationsOfTheDocuments(t *testing.T) {
	key, err := secure.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	keys := "        privateKey: key\n        publicKey: " + key.Public().Line() + "\n"
	block := regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$")
	keyless := regexp.MustCompile(`(?m)^    \w+:\n`)
	shown := map[string]int{}
	for _, page := range append([]string{"README.md", "CONTRIBUTING.md", "examples/README.md"}, documents(t)...) {
		text := read(t, page)
		for _, m := range block.FindAllStringSubmatchIndex(text, -1) {
			place := fmt.Sprintf("%s:%d", page, 1+strings.Count(text[:m[2]], "\n"))
			network := text[m[2]:m[3]]
			shown[page]++
			types := config.Types{Registry: standard.Registry()}
			whole := true
			switch {
			case page == "docs/writing-roles.md":
				continue // the example greenhouse, which has types of its own, checks it
			case page == "docs/python.md", page == "examples/README.md":
				dirs, missing := examplePrograms(t, page)
				if missing != "" {
					t.Logf("%s is not checked: there is no %s", place, missing)
					continue
				}
				types.Programs = extern.New(dirs)
				network = keyless.ReplaceAllStringFunc(network, func(node string) string { return node + keys })
				whole = false
			case strings.HasPrefix(page, "docs/roles/"):
				network = regexp.MustCompile(`ssh-ed25519 AAAA….*`).ReplaceAllString(network, key.Public().Line())
				whole = false
			}
			file, err := config.Parse(place, []byte(network), types)
			if err != nil {
				t.Errorf("%s: %v", place, err)
				continue
			}
			for _, w := range file.Warnings {
				if whole {
					t.Errorf("%s: %v", place, w)
				}
			}
		}
	}
	for _, page := range []string{"README.md", "docs/config.md", "docs/python.md", "docs/scaling.md", "examples/README.md"} {
		if shown[page] == 0 {
			t.Errorf("%s shows no configuration", page)
		}
	}
	for _, typ := range standard.Registry().Transports() {
		if shown["docs/transports/"+typ.Name+".md"] == 0 {
			t.Errorf("the page of the transport %s shows no configuration", typ.Name)
		}
	}
}

// examplePrograms are the directories with the programs of a page, or what is
// needed for them and not installed.
func examplePrograms(t *testing.T, page string) (dirs extern.Dirs, missing string) {
	t.Helper()
	for _, program := range []string{"python3", "node", "go"} {
		if _, err := exec.LookPath(program); err != nil {
			return dirs, program
		}
	}
	if page == "docs/python.md" {
		const examples = "sdk/python/examples"
		return extern.Dirs{Roles: []string{examples}, Transports: []string{examples}}, ""
	}
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", dir, "./examples/roles/uptime").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return extern.Dirs{Roles: []string{"examples/roles", dir}}, ""
}

// TestPagesOfTransports looks at what the page of each transport says: what to
// install, all of the options, what others can see, how fast it is, and what to do
// when it does not work.
func TestPagesOfTransports(t *testing.T) {
	reference := read(t, "docs/config.md")
	for _, typ := range standard.Registry().Transports() {
		page := "docs/transports/" + typ.Name + ".md"
		text := read(t, page)
		for _, heading := range []string{
			"What to install", "A complete configuration", "What (goes over the air in clear|can be read on the way)",
			"How fast,? and how far", "When it does not work",
		} {
			if !regexp.MustCompile("(?m)^## " + heading + "$").MatchString(text) {
				t.Errorf("%s has no part %q", page, heading)
			}
		}
		if !strings.Contains(text, "kozo testnet testnets/") {
			t.Errorf("%s does not say how to try it", page)
		}
		for _, o := range typ.Options {
			if !strings.Contains(text, o.Name) || !strings.Contains(reference, "`"+o.Name+"`") {
				t.Errorf("%s or docs/config.md does not have the option %s", page, o.Name)
			}
		}
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
