package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pure are the packages that read nothing of the machine and do nothing to it:
// what they know is handed to them, so the same input gives the same plan.
var pure = []string{"sbx/sandbox/internal/rootfs", "sbx/sandbox/internal/plan"}

// impure are packages that a pure one has no use for.
var impure = []string{
	"os", "io/fs", "io/ioutil", "syscall", "path/filepath", "net", "math/rand", "math/rand/v2", "crypto/rand",
	"sbx/internal/sys",
	"sbx/sandbox/internal/startstate",
}

// reads are functions of packages that pure ones import, for what is pure in
// them: these ask the machine.
var reads = map[string][]string{
	"sbx/caps":                        {"Own", "Bounded", "Last"},
	"sbx/sandbox/internal/host":       {"Probe", "Follow", "AccountHome"},
	"sbx/sandbox/internal/landlock":   {"ABI"},
	"sbx/sandbox/internal/cgroup":     {"Find", "Unified", "Disks", "ReadEvents"},
	"sbx/sandbox/internal/terminal":   {"Find"},
	"sbx/sandbox/internal/process":    {"Failure"},
	"sbx/sandbox/internal/gateway":    {"New"},
	"sbx/sandbox/internal/setid":      {"Listen", "Sweep", "Main"},
	"time":                            {"Now", "Since", "Sleep", "After", "NewTimer"},
	"runtime":                         {"NumCPU", "GOMAXPROCS"},
	"sbx/sandbox/internal/host.Facts": {"ProbeNamespaces", "Close"},
}

// unixPure are what a pure package may call of golang.org/x/sys/unix; all its
// constants and types it may use.
var unixPure = []string{"Major", "Minor", "Mkdev", "Errno", "Signal", "SignalName", "ByteSliceToString"}

// TestPure: rootfs and plan decide. That they cannot look is what makes a plan
// the same wherever it is made, and what --dry-run prints the plan that runs.
func TestPure(t *testing.T) {
	seen := 0
	for _, p := range packages(t) {
		if !slices.Contains(pure, p.ImportPath) {
			continue
		}
		seen++
		for _, dep := range p.Imports {
			if slices.Contains(impure, dep) {
				t.Errorf("%s imports %s, and decides without looking", p.ImportPath, dep)
			}
		}
		for _, f := range parsed(t, p) {
			for _, bad := range looks(f) {
				t.Errorf("%s: %s reads the machine, and this package decides without looking", p.ImportPath, bad)
			}
		}
	}
	if seen != len(pure) {
		t.Errorf("%d of the packages %v are there", seen, pure)
	}
}

// looks are the calls in a file that read the machine.
func looks(f *ast.File) (list []string) {
	imports := importsOf(f)
	ast.Inspect(f, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if slices.Contains(reads["sbx/sandbox/internal/host.Facts"], sel.Sel.Name) {
			list = append(list, sel.Sel.Name)
		}
		x, ok := sel.X.(*ast.Ident)
		if !ok || x.Obj != nil {
			return true
		}
		path := imports[x.Name]
		name := x.Name + "." + sel.Sel.Name
		switch {
		case slices.Contains(reads[path], sel.Sel.Name):
			list = append(list, name)
		case path == "golang.org/x/sys/unix" && !slices.Contains(unixPure, sel.Sel.Name) && !constant(sel.Sel.Name):
			list = append(list, name)
		}
		return true
	})
	return list
}

// importsOf are the file's imports by the names that they have there.
func importsOf(f *ast.File) map[string]string {
	imports := map[string]string{}
	for _, spec := range f.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		local := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			local = spec.Name.Name
		}
		imports[local] = path
	}
	return imports
}

// constant says whether a name of package unix is one of the kernel's own, which
// are in capitals, or a type of the kernel's.
func constant(name string) bool {
	return name == strings.ToUpper(name) || name == "PathMax" || strings.HasSuffix(name, "_t")
}

// TestPureSees shows that the check above sees what it is to see.
func TestPureSees(t *testing.T) {
	for _, c := range []struct {
		source string
		bad    bool
	}{
		{"import \"golang.org/x/sys/unix\"\nvar _ = unix.S_IFDIR", false},
		{"import \"golang.org/x/sys/unix\"\nvar _ = unix.Mkdev(1, 3)", false},
		{"import \"golang.org/x/sys/unix\"\nvar _ = unix.Stat(\"/\", nil)", true},
		{"import \"golang.org/x/sys/unix\"\nvar _ = unix.Getpagesize()", true},
		{"import u \"golang.org/x/sys/unix\"\nvar _ = u.Access", true},
		{"import \"sbx/sandbox/internal/host\"\nvar _, _ = host.Probe(nil, host.Target{})", true},
		{"import \"sbx/caps\"\nvar _, _ = caps.Last()", true},
		{"import \"time\"\nvar _ = time.Now()", true},
		{"import \"time\"\nvar _ = time.Second", false},
	} {
		f := parseText(t, "package x\n"+c.source+"\n")
		if got := looks(f); (len(got) > 0) != c.bad {
			t.Errorf("%s: %v", c.source, got)
		}
	}
}

func parseText(t *testing.T, source string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "x.go", source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
