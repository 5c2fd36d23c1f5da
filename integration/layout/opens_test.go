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
	"internal/review: openAt":               "all callers' flags have O_PATH or O_DIRECTORY",
	"internal/review: openNew":              "a file of sbx's own, in a directory that is the caller's alone",
	"internal/sys: Open":                    "it is the function to call",
	"internal/sys: ReadFileAt":              "a name is its caller's, and checked there",
	"sandbox/internal/cgroup: Open":         "the flags are O_PATH, in a constant",
	"sandbox/internal/cgroup: read":         "below a descriptor of cgroupfs, which has regular files only",
	"sandbox/internal/launch: killChildren": "a name below /proc, in a variable",
	"sandbox/internal/setid: credentials":   "a name below a descriptor of /proc/PID",
	"sandbox/internal/setid: resolve":       "all callers' flags have O_PATH",
	"sandbox/internal/notify: pids":         "a name below /proc, as proc makes it",
	"sandbox/internal/notify: Sender":       "names below /proc, as proc makes them",
	"sandbox/internal/notify: holds":        "a name below /proc, as proc makes it",
	"sandbox/internal/notify: idle":         "a name below /proc, as proc makes it",
	"sandbox/internal/notify: needs":        "a name below /proc, as proc makes it",
	"sandbox/internal/notify: status":       "a name below /proc, as proc makes it",
	"sandbox/internal/notify: children":     "a name below /proc, as proc makes it",
	"sandbox/internal/notify: bounded":      "a name below /proc, as proc makes it",
	"sandbox/internal/notify: tasks":        "names below /proc, as proc makes them",
	"sandbox/internal/notify: noTerminal":   "a name below /proc, as proc makes it",
	"sandbox/internal/notify: leavesAlone":  "a name below /proc, as proc makes it",
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
		structs := map[string]string{} // what a variable is made as: the flags of openat2
		ast.Inspect(fn, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				name, ok := n.Lhs[0].(*ast.Ident)
				if literal, is := n.Rhs[0].(*ast.CompositeLit); ok && is {
					structs["&"+name.Name] = source(t, literal)
				}
			case *ast.CallExpr:
				text := source(t, n)
				if name, _, _ := strings.Cut(text, "("); slices.Contains(opens, name) {
					list = append(list, opening{fn.Name.Name, text + structs[source(t, n.Args[len(n.Args)-1])]})
				}
			}
			return true
		})
	}
	return list
}

// source is the text of a node, in one line.
func source(t *testing.T, n ast.Node) string {
	t.Helper()
	var b bytes.Buffer
	if err := printer.Fprint(&b, token.NewFileSet(), n); err != nil {
		t.Fatal(err)
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// TestOpensSeen shows that the check above sees what it is to see.
func TestOpensSeen(t *testing.T) {
	for text, ok := range map[string]bool{
		"os.Open(s)":                                 false,
		"os.ReadFile(\"/proc/self/maps\")":           true,
		"os.ReadFile(\"/etc/passwd\")":               false,
		"unix.Open(s, unix.O_RDONLY|unix.O_PATH, 0)": true,
		"unix.Open(s, unix.O_RDONLY, 0)":             false,
		"how := unix.OpenHow{Flags: unix.O_DIRECTORY}; unix.Openat2(3, s, &how)": true,
		"how := unix.OpenHow{Flags: unix.O_RDONLY}; unix.Openat2(3, s, &how)":    false,
	} {
		list := opensIn(t, parseText(t, "package x\nfunc f(s string) { "+text+" }\n"))
		if len(list) != 1 || looked.MatchString(list[0].call) != ok {
			t.Errorf("%s: %v", text, list)
		}
	}
}
