package layout

import (
	"bytes"
	"go/ast"
	"go/printer"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// opens are the calls that open a file by its name.
var opens = []string{
	"os.Open", "os.OpenFile", "os.ReadFile", "os.Create", "os.WriteFile", "unix.Open", "unix.Openat", "unix.Openat2",
	"sys.ReadFile", "sys.ReadFileAt",
}

// looked are the ways to open that wait for nobody and do nothing to a device:
// by name only, a directory or nothing, or a file that is made by this call. The
// names are the kernel's own, or of what was opened before.
var looked = regexp.MustCompile(`\bO_(PATH|DIRECTORY|EXCL|TMPFILE)\b|\(("|unix\.AT_FDCWD, ")(/proc/|/sys/|/dev/tty")`)

// looksItself are the functions that look at the kind of the file by other
// means, with how.
var looksItself = map[string]string{
	"internal/sys: Open":                    "it is the function to call",
	"policy/seccomp/cache: open":            "the flags are O_DIRECTORY, in a variable",
	"internal/sys: ReadFileAt":              "a name is its caller's, and checked there",
	"sandbox/internal/host: look":           "the flags are O_PATH, in a variable",
	"sandbox/internal/host: walk":           "the flags are O_DIRECTORY, in a variable",
	"sandbox/internal/cgroup: Open":         "the flags are O_PATH, in a constant",
	"sandbox/internal/cgroup: read":         "below a descriptor of cgroupfs, which has regular files only",
	"sandbox/internal/launch: killChildren": "a name below /proc, in a variable",
}

// TestOpens: nothing of the host is opened for more than O_PATH before its kind
// is looked at. A FIFO would wait for somebody else, and a device can do
// anything.
func TestOpens(t *testing.T) {
	used := map[string]bool{}
	for _, p := range shipped(t) {
		for _, f := range parsed(t, p) {
			for _, o := range opensIn(t, f) {
				at := strings.TrimPrefix(p.ImportPath, "sbx/") + ": " + o.function
				if looked.MatchString(o.call) {
					continue
				}
				if _, ok := looksItself[at]; !ok {
					t.Errorf("%s: %s: what is opened? sys.Open looks first", at, o.call)
				}
				used[at] = true
			}
		}
	}
	for at := range looksItself {
		if !used[at] {
			t.Errorf("%s opens nothing: take it off the list of this test", at)
		}
	}
}

// opening is a call in a function.
type opening struct{ function, call string }

func opensIn(t *testing.T, f *ast.File) (list []opening) {
	t.Helper()
	for _, decl := range f.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			var b bytes.Buffer
			if err := printer.Fprint(&b, token.NewFileSet(), call); err != nil {
				t.Fatal(err)
			}
			text := strings.Join(strings.Fields(b.String()), " ")
			if name, _, _ := strings.Cut(text, "("); slices.Contains(opens, name) {
				list = append(list, opening{fn.Name.Name, text})
			}
			return true
		})
	}
	return list
}
