package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const jsonDoc = "../../docs/json.md"

// TestKinds compares the kinds of all types that are steps, which are those
// with a method Compile(*step.Asm), with the tables of docs/json.md: programs
// read them, so none is new, renamed or gone without its documentation.
func TestKinds(t *testing.T) {
	documented := tableNames(t, "kind")
	kinds := map[string]string{} // to the type
	for _, p := range packages(t) {
		steps, methods, hints := map[string]bool{}, map[string]string{}, map[string]bool{}
		for _, f := range parsed(t, p) {
			for _, decl := range f.Decls {
				m, ok := decl.(*ast.FuncDecl)
				if !ok || m.Recv == nil {
					continue
				}
				switch name := receiver(m); {
				case m.Name.Name == "Compile" && compiles(m):
					steps[name] = true
				case m.Name.Name == "Kind":
					methods[name] = returned(m)
				case m.Name.Name == "Hint":
					hints[name] = takesError(m)
				}
			}
		}
		for name := range steps {
			// A type that embeds a step has a kind of its own nevertheless.
			kind, of := methods[name], p.ImportPath+"."+name
			if !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(kind) {
				t.Errorf("%s has the kind %q: one string of lower case words with hyphens is wanted", of, kind)
			}
			if other, ok := kinds[kind]; ok {
				t.Errorf("%s and %s are both of the kind %s", of, other, kind)
			}
			kinds[kind] = of
			if takes, ok := hints[name]; ok && !takes {
				t.Errorf("%s has a method Hint that is not step.Hinter's, and so is never asked", of)
			}
			if !slices.Contains(documented, kind) {
				t.Errorf("kind %s of %s is not in %s", kind, of, jsonDoc)
			}
		}
	}
	if len(kinds) < 70 {
		t.Errorf("only %d steps were found", len(kinds))
	}
	for _, kind := range documented {
		if kinds[kind] == "" {
			t.Errorf("%s has the kind %s, which no step is of", jsonDoc, kind)
		}
	}
}

// TestJSONFields compares the fields of the plan and the receipt with the
// tables of docs/json.md.
func TestJSONFields(t *testing.T) {
	documented := tableNames(t, "field")
	var found []string
	for _, p := range packages(t) {
		if !below(p.ImportPath, "sbx/sandbox") && p.ImportPath != "sbx/cmd/sbx" {
			continue
		}
		for _, f := range parsed(t, p) {
			for _, decl := range f.Decls {
				if prints(decl) {
					found = append(found, fields(decl)...)
				}
			}
		}
	}
	slices.Sort(found)
	slices.Sort(documented)
	if !slices.Equal(found, documented) {
		t.Errorf("the fields are\n%q\n%s has\n%q", found, jsonDoc, documented)
	}
}

// TestPlaces compares who the plan says does a step with the table of
// docs/json.md.
func TestPlaces(t *testing.T) {
	documented := tableNames(t, "in")
	var found []string
	for _, p := range packages(t) {
		if !below(p.ImportPath, "sbx/sandbox") {
			continue
		}
		for _, f := range parsed(t, p) {
			for _, decl := range f.Decls {
				if m, ok := decl.(*ast.FuncDecl); ok && m.Recv != nil && receiver(m) == "Plan" && m.Name.Name == "Each" {
					found = append(found, literals(m)...)
				}
			}
		}
	}
	slices.Sort(found)
	slices.Sort(documented)
	if found = slices.Compact(found); !slices.Equal(found, documented) {
		t.Errorf("the plan's steps are done in %q, %s has %q", found, jsonDoc, documented)
	}
}

// literals are the strings in the code below n.
func literals(n ast.Node) (list []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			s, _ := strconv.Unquote(lit.Value)
			list = append(list, s)
		}
		return true
	})
	return list
}

// prints says whether the declaration is the plan's MarshalJSON, the receipt or
// a line of the tree.
func prints(decl ast.Decl) bool {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		return d.Name.Name == "MarshalJSON" && d.Recv != nil && receiver(d) == "Plan"
	case *ast.GenDecl:
		if d.Tok == token.TYPE && len(d.Specs) > 0 {
			name := d.Specs[0].(*ast.TypeSpec).Name.Name
			return name == "receipt" || name == "receiptUsage" || name == "Line"
		}
	}
	return false
}

// fields are the names in the JSON tags below n.
func fields(n ast.Node) (names []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		if f, ok := n.(*ast.Field); ok && f.Tag != nil {
			tag, _ := strconv.Unquote(f.Tag.Value)
			name, _, _ := strings.Cut(reflect.StructTag(tag).Get("json"), ",")
			names = append(names, name)
		}
		return true
	})
	return names
}

// tableNames are the names in the first column of all tables of docs/json.md
// whose first column has that head.
func tableNames(t *testing.T, head string) (names []string) {
	t.Helper()
	text, err := os.ReadFile(jsonDoc)
	if err != nil {
		t.Fatal(err)
	}
	in := false
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, " | ")
		name, isRow := strings.CutPrefix(cells[0], "| ")
		switch {
		case !strings.HasPrefix(line, "|"):
			in = false
		case isRow && name == head:
			in = true
		case isRow && in:
			names = append(names, strings.Trim(name, "`"))
		}
	}
	if len(names) == 0 {
		t.Fatalf("%s has no table of a %s", jsonDoc, head)
	}
	return names
}

// parsed are the package's files without the tests.
func parsed(t *testing.T, p pkg) (files []*ast.File) {
	t.Helper()
	for _, name := range append(p.GoFiles, p.CgoFiles...) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// receiver is the name of the type that the method is of.
func receiver(m *ast.FuncDecl) string {
	typ := m.Recv.List[0].Type
	if p, ok := typ.(*ast.StarExpr); ok {
		typ = p.X
	}
	if id, ok := typ.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// compiles says whether the method takes one *step.Asm.
func compiles(m *ast.FuncDecl) bool {
	if m.Type.Params.NumFields() != 1 {
		return false
	}
	p, ok := m.Type.Params.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	s, ok := p.X.(*ast.SelectorExpr)
	return ok && s.Sel.Name == "Asm"
}

// takesError says whether the method takes one error.
func takesError(m *ast.FuncDecl) bool {
	if m.Type.Params.NumFields() != 1 {
		return false
	}
	id, ok := m.Type.Params.List[0].Type.(*ast.Ident)
	return ok && id.Name == "error"
}

// returned is the string that the method returns, if that is all it does.
func returned(m *ast.FuncDecl) string {
	if len(m.Body.List) != 1 {
		return ""
	}
	r, ok := m.Body.List[0].(*ast.ReturnStmt)
	if !ok || len(r.Results) != 1 {
		return ""
	}
	lit, ok := r.Results[0].(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, _ := strconv.Unquote(lit.Value)
	return s
}
