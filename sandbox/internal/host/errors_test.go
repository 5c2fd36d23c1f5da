package host

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// TestReason: errors.Is finds an error's reason, and no other.
func TestReason(t *testing.T) {
	err := error(&NeedError{Reason: NoLandlock, What: "x"})
	if !errors.Is(err, NoLandlock) || errors.Is(err, NoLimit) {
		t.Errorf("%v is NoLandlock %v, NoLimit %v", err, errors.Is(err, NoLandlock), errors.Is(err, NoLimit))
	}
	if err := Refuse(Invalid, "be %d", 5); !errors.Is(err, Invalid) || err.Error() != "be 5" || err.Hint() != "" {
		t.Errorf("%v, hint %q", err, err.Hint())
	}
}

// TestAllReasons: every NeedError has a reason.
func TestAllReasons(t *testing.T) {
	files, err := filepath.Glob("../*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			lit, ok := n.(*ast.CompositeLit)
			if !ok || !isNeedError(lit.Type) {
				return true
			}
			seen++
			for _, e := range lit.Elts {
				if kv, ok := e.(*ast.KeyValueExpr); ok {
					if key, ok := kv.Key.(*ast.Ident); ok && key.Name == "Reason" {
						return true
					}
				}
			}
			t.Errorf("%s: a NeedError without a reason", set.Position(lit.Pos()))
			return true
		})
	}
	if seen < 50 {
		t.Errorf("only %d were seen", seen)
	}
}

func isNeedError(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "NeedError"
	case *ast.SelectorExpr:
		return e.Sel.Name == "NeedError"
	}
	return false
}
