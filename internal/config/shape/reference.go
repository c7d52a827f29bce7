package shape

import (
	_ "embed" // for the texts below
	"fmt"
	"strings"

	"kozo"
)

//go:embed example.yml
var exampleText string

//go:embed intro.md
var introText string

//go:embed values.md
var valuesText string

// Reference is what the reference for people says beside the options.
type Reference struct {
	MaxFile  kozo.Size
	MaxNodes int

	// Mistake returns what is said about a file.
	Mistake func(file string) string
}

// mistaken is a file with a mistake.
const mistaken = `system:
    clock:
        privateKey: /var/lib/kozo/key
        publicKey: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK2wPyhc+vvg98w8r11iROYGyZNGs90ND4snnkGj5q+S
        roles:
            timer1:
                type: timer
                tik: 60
`

// Markdown writes the reference of the file.
func (r Reference) Markdown(types *kozo.Registry) []byte {
	s := New()
	var b strings.Builder
	b.WriteString(introText)
	fmt.Fprintf(&b, "```yaml\n%s```\n\n", exampleText)
	b.WriteString(strings.NewReplacer("{MAXFILE}", r.MaxFile.String(), "{MAXNODES}", fmt.Sprint(r.MaxNodes),
		"{MISTAKE}", r.Mistake(mistaken)).Replace(valuesText))

	b.WriteString("## Options at the root of the file\n\n")
	fmt.Fprintf(&b, "Beside the block `%s`, which holds the nodes, the root has these options. They are for all nodes;\n"+
		"a node changes them for itself under `%s`. Nodes should agree on most of them.\n\n", SystemKey, OverrideKey)
	table(&b, s.Root)

	fmt.Fprintf(&b, "## A node: `%s.NAME`\n\n", SystemKey)
	table(&b, s.Node)
	fmt.Fprintf(&b, "And these blocks, each of which can be missing or empty:\n\n"+
		"- `%s`: options at the root of the file that are different on this node.\n"+
		"- `%s`: what the node does, each role in a block under its name.\n"+
		"- `%s`: how the node is reached and reaches others, each transport in a block under its name.\n"+
		"  Those of higher priority are tried first; among equals, in the order of the file.\n\n", OverrideKey, RolesKey, TransportsKey)

	b.WriteString(policies)

	fmt.Fprintf(&b, "## A role: `%s.NAME.%s.NAME`\n\n", SystemKey, RolesKey)
	b.WriteString("Every role has these options, and those of its type below.\n\n")
	table(&b, s.Role)
	for _, t := range types.Roles() {
		section(&b, "Role", t.Name, t.Doc, t.Options)
		if t.NeedsStorage {
			b.WriteString("It keeps things across restarts: its node needs a `roleStorage`.\n\n")
		}
	}

	fmt.Fprintf(&b, "## A transport: `%s.NAME.%s.NAME`\n\n", SystemKey, TransportsKey)
	b.WriteString("Every transport has this option, and those of its type below. Whatever the transport, all\n" +
		"traffic is encrypted and both ends are known by their keys.\n\n")
	table(&b, s.Transport)
	for _, t := range types.Transports() {
		section(&b, "Transport", t.Name, t.Doc, t.Options)
	}
	return []byte(strings.TrimRight(b.String(), "\n") + "\n")
}

const policies = "### Connection policies\n\n" +
	"The link from A to B follows the more reluctant of A's `selfToOthersConnectPolicy` and B's\n" +
	"`othersToSelfConnectPolicy`. The link from B to A is another one, with the same rule the other way round.\n\n" +
	"| A to others ↓ / others to B → | constant | ondemand | never |\n|---|---|---|---|\n" +
	"| **constant** | constant | ondemand | never |\n" +
	"| **ondemand** | ondemand | ondemand | never |\n" +
	"| **never** | never | never | never |\n\n" +
	"- *constant*: the link is kept up at all times, and comes back after every cut.\n" +
	"- *ondemand*: the link is brought up when there is a message to send over it. After a cut it comes\n" +
	"  back if something was on its way, and otherwise stays down until there is another message.\n" +
	"- *never*: there is no link, and what A sends never gets to B.\n\n"

func section(b *strings.Builder, what, name, doc string, options []kozo.Option) {
	fmt.Fprintf(b, "### %s type `%s`\n\n%s\n\n", what, name, sentence(doc))
	if len(options) == 0 {
		b.WriteString("It has no options of its own.\n\n")
		return
	}
	table(b, options)
}

// sentence begins with a capital letter and ends with a full stop.
func sentence(doc string) string {
	if doc == "" {
		return ""
	}
	runes := []rune(doc)
	if !strings.HasSuffix(doc, ".") {
		runes = append(runes, '.')
	}
	return strings.ToUpper(string(runes[0])) + string(runes[1:])
}

func table(b *strings.Builder, options []kozo.Option) {
	b.WriteString("| option | type | default | what it does |\n|---|---|---|---|\n")
	for _, o := range options {
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", o.Name, kindAndBounds(o), defaultOf(o), cell(sentence(o.Doc)))
	}
	b.WriteString("\n")
}

// cell keeps a text from breaking a table.
func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "<", "&lt;").Replace(text)
}

func kindAndBounds(o kozo.Option) string {
	if len(o.OneOf) > 0 {
		return "`" + strings.Join(o.OneOf, "`, `") + "`"
	}
	kind := map[kozo.OptionType]string{
		kozo.TypeString: "text", kozo.TypeBool: "true or false", kozo.TypeInt: "whole number", kozo.TypePaths: "directories",
	}[o.Type]
	if kind == "" {
		kind = string(o.Type)
	}
	switch {
	case o.Min != "" && o.Max != "":
		kind += fmt.Sprintf(", %s to %s", o.Min, o.Max)
	case o.Min != "":
		kind += ", at least " + o.Min
	case o.Max != "":
		kind += ", at most " + o.Max
	}
	return kind
}

func defaultOf(o kozo.Option) string {
	switch {
	case o.Required:
		return "*required*"
	case o.Default == "" && o.Type == kozo.TypeBool:
		return "`false`"
	case o.Default == "":
		return "none"
	case strings.TrimSpace(o.Default) != o.Default:
		return "`" + cell(fmt.Sprintf("%q", o.Default)) + "`"
	}
	return "`" + cell(o.Default) + "`"
}
