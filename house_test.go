package kozo_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	maxLines   = 400 // of a file
	maxMethods = 3   // of an interface
)

// room is the source of one package, tests left out, for all platforms.
type room struct {
	dir   string
	files map[string]*ast.File // by path from the root of the repository
}

var fileSet = token.NewFileSet()

func readHouse(t *testing.T) map[string]*room {
	t.Helper()
	house := map[string]*room{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() {
			base := path.Base(name)
			if name != "." && (strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata") {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(name, "go.mod")); name != "." && err == nil {
				return fs.SkipDir // a module of its own
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(fileSet, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := path.Dir(name)
		if house[dir] == nil {
			house[dir] = &room{dir: dir, files: map[string]*ast.File{}}
		}
		house[dir].files[name] = file
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return house
}

func (r *room) faults() []string {
	var faults []string
	fault := func(pos token.Pos, format string, args ...any) {
		faults = append(faults, fileSet.Position(pos).String()+": "+fmt.Sprintf(format, args...))
	}
	if _, ok := rooms[r.dir]; !ok {
		faults = append(faults, r.dir+": this package is not on the map of layers_test.go; give it a line there")
	}
	documented := false
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		file := r.files[name]
		documented = documented || file.Doc != nil
		if n := fileSet.File(file.Package).LineCount(); n > maxLines {
			fault(file.Package, "the file has %d lines, more than %d; find its second subject", n, maxLines)
		}
		for _, imp := range file.Imports {
			if why := r.refuses(strings.Trim(imp.Path.Value, `"`)); why != "" {
				fault(imp.Pos(), "%s", why)
			}
		}
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.FuncDecl:
				if decl.Recv == nil && decl.Name.Name == "init" {
					fault(decl.Pos(), "init() hides an order; call it from where it is needed")
				}
			case *ast.GenDecl:
				if decl.Tok != token.VAR {
					break
				}
				for _, spec := range decl.Specs {
					r.checkVar(decl, spec.(*ast.ValueSpec), fault)
				}
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if i, ok := n.(*ast.InterfaceType); ok && r.methods(i, 0) > maxMethods {
				fault(i.Pos(), "the interface has %d methods, more than %d", r.methods(i, 0), maxMethods)
			}
			return true
		})
	}
	if !documented {
		faults = append(faults, r.dir+": the package has no doc comment that says what it is for")
	}
	return faults
}

// refuses says why this room may not import a package, or nothing.
func (r *room) refuses(imported string) string {
	if imported == "kozo" || strings.HasPrefix(imported, "kozo/") {
		other := strings.TrimPrefix(strings.TrimPrefix(imported, "kozo"), "/")
		if other == "" {
			other = "."
		}
		if !slices.Contains(rooms[r.dir], other) {
			return fmt.Sprintf("%s may not import %s by the map of layers_test.go", r.dir, other)
		}
		return ""
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return "" // the standard library
	}
	for module, hosts := range guests {
		if strings.HasPrefix(imported, module) && slices.Contains(hosts, r.dir) {
			return ""
		}
	}
	return fmt.Sprintf("%s may not import %s by the guest list of layers_test.go", r.dir, imported)
}

// checkVar lets through what is constant in all but name: errors, guards, compiled
// patterns, embedded files, and unexported values that the package never changes.
func (r *room) checkVar(decl *ast.GenDecl, spec *ast.ValueSpec, fault func(token.Pos, string, ...any)) {
	for i, name := range spec.Names {
		if name.Name == "_" || embeds(decl.Doc) || embeds(spec.Doc) {
			continue
		}
		var value ast.Expr
		if i < len(spec.Values) {
			value = spec.Values[i]
		}
		switch v := value.(type) {
		case *ast.CallExpr:
			if constantCall(v) {
				continue
			}
		case *ast.CompositeLit, *ast.BasicLit, *ast.BinaryExpr:
			if !name.IsExported() {
				if pos := r.changes(name.Name); pos.IsValid() {
					fault(pos, "this changes the package-level variable %s", name.Name)
				}
				continue
			}
		}
		fault(name.Pos(), "the package-level variable %s is state that two nodes in one process would share", name.Name)
	}
}

func embeds(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool {
		return strings.HasPrefix(c.Text, "//go:embed ")
	})
}

// constantCall says whether the result of a call is never changed by anybody.
func constantCall(call *ast.CallExpr) bool {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	pkg, ok := f.X.(*ast.Ident)
	return ok && slices.Contains([]string{
		"errors.New", "fmt.Errorf", "netip.AddrFrom4", "netip.MustParseAddr", "netip.MustParseAddrPort",
		"netip.MustParsePrefix", "regexp.MustCompile", "strings.NewReplacer",
	}, pkg.Name+"."+f.Sel.Name)
}

// changes finds a statement of the package that changes a variable or gives its
// address away. It goes by name, so a local variable must not have the same.
func (r *room) changes(name string) (found token.Pos) {
	is := func(e ast.Expr) bool {
		for {
			switch x := e.(type) {
			case *ast.IndexExpr:
				e = x.X
			case *ast.SelectorExpr:
				e = x.X
			case *ast.ParenExpr:
				e = x.X
			case *ast.Ident:
				return x.Name == name
			default:
				return false
			}
		}
	}
	for _, file := range r.files {
		ast.Inspect(file, func(n ast.Node) bool {
			var changed []ast.Expr
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					changed = n.Lhs
				}
			case *ast.IncDecStmt:
				changed = []ast.Expr{n.X}
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					changed = []ast.Expr{n.X}
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "delete" || f.Name == "clear" || f.Name == "copy") {
					changed = n.Args[:1]
				}
			}
			if slices.ContainsFunc(changed, is) {
				found = n.Pos()
			}
			return true
		})
	}
	return found
}

// methods counts the methods of an interface, with those of interfaces of the
// same package that it embeds; one for any other.
func (r *room) methods(i *ast.InterfaceType, depth int) int {
	count := 0
	for _, m := range i.Methods.List {
		switch t := m.Type.(type) {
		case *ast.FuncType:
			count += max(1, len(m.Names))
		case *ast.Ident:
			if local := r.interfaceNamed(t.Name); local != nil && depth < 8 {
				count += r.methods(local, depth+1)
			}
		case *ast.SelectorExpr:
			count++
		}
	}
	return count
}

func (r *room) interfaceNamed(name string) *ast.InterfaceType {
	for _, file := range r.files {
		for _, decl := range file.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok {
				continue
			}
			for _, spec := range gen.Specs {
				if ts, ok := spec.(*ast.TypeSpec); ok && ts.Name.Name == name {
					i, _ := ts.Type.(*ast.InterfaceType)
					return i
				}
			}
		}
	}
	return nil
}

// TestHouseRules builds a room with every fault there is, so that a check that
// has gone blind is noticed.
func TestHouseRules(t *testing.T) {
	file := func(name, src string) *ast.File {
		f, err := parser.ParseFile(fileSet, name, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	bad := &room{dir: "internal/router", files: map[string]*ast.File{
		"bad.go": file("bad.go", `package router
import "kozo/internal/link"
import "golang.org/x/crypto/ssh"
type wide interface { a(); narrow; c() }
type narrow interface { d(); e() }
var table = map[string]int{}
var counter int
var Names = [...]string{"a"}
func init() { table["x"] = 1 }`),
		"long.go": file("long.go", "package router\n"+strings.Repeat("\n", maxLines)),
	}}
	got := strings.Join(bad.faults(), "\n")
	for _, want := range []string{
		"may not import internal/link", "may not import golang.org/x/crypto/ssh", "has 4 methods", "changes the package-level variable table",
		"variable counter is state", "variable Names is state", "init() hides", "more than 400", "no doc comment",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("nobody complains %q in:\n%s", want, got)
		}
	}
	good := &room{dir: "internal/router", files: map[string]*ast.File{"good.go": file("good.go", `// Package router is fine.
package router
import ("errors"; "regexp"; "kozo")
var _ kozo.Role = nil
var errFull = errors.New("full")
var pattern = regexp.MustCompile("x")
var names = [...]string{"a"}
//go:embed page.html
var page string
func f() { names := []string{}; _ = names }`)}}
	if faults := good.faults(); len(faults) > 0 {
		t.Errorf("a good room is found fault with: %v", faults)
	}
	elsewhere := &room{dir: "internal/util", files: map[string]*ast.File{"u.go": file("u.go", "// Package util is not.\npackage util")}}
	if !slices.ContainsFunc(elsewhere.faults(), func(s string) bool { return strings.Contains(s, "not on the map") }) {
		t.Error("a package that is not on the map is not noticed")
	}
}

// TestCommittedFuzzCorpora finds fuzz targets without seeds in testdata/fuzz.
func TestCommittedFuzzCorpora(t *testing.T) {
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for line := range bytes.Lines(src) {
			rest, ok := bytes.CutPrefix(line, []byte("func Fuzz"))
			if !ok {
				continue
			}
			target := "Fuzz" + string(rest[:bytes.IndexByte(rest, '(')])
			dir := filepath.Join(filepath.Dir(name), "testdata", "fuzz", target)
			if files, err := os.ReadDir(dir); err != nil || len(files) == 0 {
				t.Errorf("%s: %s has no committed corpus in %s", name, target, dir)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
