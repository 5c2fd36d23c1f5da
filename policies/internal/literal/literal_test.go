package literal

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"sbx/policy"
)

// TestEveryField: whatever a policy can say stands in the source, so that a
// new field cannot be forgotten here and a shipped policy be without it.
func TestEveryField(t *testing.T) {
	p := &policy.Policy{}
	missing := fill(reflect.ValueOf(p).Elem(), map[string]bool{})
	p.Name = "x"
	source, err := Go([]*policy.Policy{p})
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if kv, ok := n.(*ast.KeyValueExpr); ok {
			if name, ok := kv.Key.(*ast.Ident); ok {
				delete(missing, name.Name)
			}
		}
		return true
	})
	// Resolved policies extend nothing and have their profile in Seccomp.
	delete(missing, "Extends")
	delete(missing, "OCI")
	if len(missing) > 0 {
		t.Errorf("not written: %v", missing)
	}
}

// fill gives every field a value and collects their names.
func fill(v reflect.Value, names map[string]bool) map[string]bool {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				names[f.Name] = true
				fill(v.Field(i), names)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), names)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), names)
	case reflect.Map:
		e := reflect.New(v.Type().Elem()).Elem()
		fill(e, names)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("/k"), e)
	case reflect.String:
		v.SetString("s")
	case reflect.Bool:
		v.SetBool(true)
	default:
		if v.CanInt() {
			v.SetInt(2) // of an action's kinds the one with an errno
		} else if v.CanUint() {
			v.SetUint(2)
		}
	}
	return names
}

func TestWalls(t *testing.T) {
	all, err := Policies(fstest.MapFS{"x.toml": {Data: []byte(`version = 1
[namespaces]
uid = 0
[files]
tmpfs = ["/tmp"]
file."/b" = "two\nlines"
file."/a" = ""
path."/tmp" = { size = "1M", exec = false }
[network]
connect = []
[expect]
`)}})
	if err != nil {
		t.Fatal(err)
	}
	source, err := Go(all)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(source)), " ")
	for _, want := range []string{
		`UID: &[]int{0}[0],`, `Ranges: no,`, `Inline: map[string]string{ "/a": "", "/b": "two\nlines", },`,
		`Paths: map[string]policy.PathOptions{ "/tmp": { Exec: no, Size: "1M", }, },`, `Network: policy.Network{ Connect: []string{}, },`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, source)
		}
	}
	if strings.Contains(text, "GID") || strings.Contains(text, "Symlinks") || strings.Contains(text, "Bind:") {
		t.Errorf("what is not said is written:\n%s", source)
	}
}
