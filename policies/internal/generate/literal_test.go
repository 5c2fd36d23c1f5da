package generate

import (
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"sbx/policy"
	"sbx/policy/seccomp"
)

// TestEveryField: whatever a policy can say stands in the source, so that a
// new field cannot be forgotten here and a shipped policy be without it.
func TestEveryField(t *testing.T) {
	p := &policy.Policy{}
	missing := fill(reflect.ValueOf(p).Elem(), map[string]bool{})
	source, err := literals([]*policy.Policy{p})
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
			v.SetInt(2)
		} else if v.CanUint() {
			v.SetUint(uint64(seccomp.Errno)) // of an action's kinds the one with a number
		}
	}
	return names
}

// TestUnknownType: a field of a type that is new here stops the generator.
func TestUnknownType(t *testing.T) {
	w := writer{}
	if text, err := w.value(reflect.ValueOf(struct{ Sum float64 }{1}), "X"); err == nil {
		t.Errorf("written as %s", text)
	}
}

// TestValues: what is said stands there, what is not does not, and of what
// two policies say alike there is one copy.
func TestValues(t *testing.T) {
	text := `version = 1
[namespaces]
uid = 0
[files]
hide = ["` + strings.Repeat("x", width) + `"]
tmpfs = ["/tmp"]
file."/b" = "two\nlines"
file."/a" = ""
path."/tmp" = { size = "1M", exec = false }
[network]
connect = []
[expect]
`
	all, err := resolve(fstest.MapFS{"a-b.toml": {Data: []byte(text)}, "c.toml": {Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	source, err := literals(all)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.ReplaceAll(strings.Join(strings.Fields(string(source)), " "), "{ ", "{")
	for part, times := range map[string]int{
		`UID: new(0),`: 2, `Ranges: no,`: 2, `Inline: map[string]string{"/a": "", "/b": "two\nlines"},`: 2,
		`"/tmp": policy.PathOptions{Exec: no, Size: "1M"}`:                                     2,
		`Network: policy.Network{Connect: []string{}, Hosts: []string{}, Listen: []string{}},`: 2,
		`Hide: resolvedABFilesHide(),`:                                                         2,
		strings.Repeat("x", width):                                                             1,
		"GID":                                                                                  0, "Symlinks": 0, "Bind:": 0,
	} {
		if n := strings.Count(got, part); n != times {
			t.Errorf("%d times %s, not %d, in\n%s", n, part, times, source)
		}
	}
}
