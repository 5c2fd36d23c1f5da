// Package layout holds the shape of the module: which package may import
// which, and what nobody may call. Each rule stands with its reason.
package layout

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// forbidden is an arrow that must not be: packages matching from may not
// import, themselves or through others, what matches to.
type forbidden struct{ from, to, why string }

var arrows = []forbidden{
	{"sbx/policy", "sbx/sandbox", "a policy is data; it knows nothing of how walls are built"},
	{"sbx/policy", "sbx/ns", "a policy is data; it knows nothing of how walls are built"},
	{"sbx/policy", "sbx/caps", "a policy names capabilities; sets and steps are built from it, not in it"},
	{"sbx/policy", "sbx/policies", "the language does not depend on the policies written in it"},
	{"=sbx/policy", "sbx/policy/oci", "formats lie above the language: it knows none of them"},
	{"=sbx/policy", "sbx/policy/systemd", "formats lie above the language: it knows none of them"},
	{"=sbx/policy", "sbx/policy/formats", "formats lie above the language: it knows none of them"},
	{"sbx/policies", "sbx/sandbox", "the embedded policies can be read, tested and printed without a launcher"},
	{"sbx/ns", "sbx/policy", "ns decides nothing: it is told in its own types"},
	{"sbx/ns", "sbx/sandbox", "steps are below the plan, except for the leaf that defines what a step is"},
	{"sbx/caps", "sbx/policy", "caps decides nothing: it is told in its own types"},
	{"sbx/caps", "sbx/sandbox", "steps are below the plan, except for the leaf that defines what a step is"},
	{"sbx/sandbox", "sbx/policies", "a plan is built from any policy, not from the shipped ones"},
	{"sbx/sandbox", "sbx/cmd", "the command line is on top"},
	{"sbx/sandbox", "github.com/alecthomas/kong", "only the command line parses flags"},
	{"sbx/policy", "github.com/alecthomas/kong", "only the command line parses flags"},
	{"sbx/sandbox/internal/terminal", "sbx/policy", "the relay moves bytes; who has which terminal is decided above it"},
	{"sbx/sandbox/internal/terminal", "sbx/sandbox/internal/child", "the relay moves bytes; who has which terminal is decided above it"},
	{"sbx/internal/step", "sbx/", "step is a leaf: everybody who makes steps imports it"},
	{"sbx/sandbox/internal/child", "sbx/", "what runs in the forked child is a leaf that can be read in one sitting"},
	{"sbx/cmd/sbx", "net/http", "the launcher starts in a millisecond; this costs more than that and is a way out"},
	{"sbx/cmd/sbx", "=net", "no names are looked up and nothing is listened to; its start-up is not free"},
	{"sbx/cmd/sbx", "plugin", "nothing is loaded at run time"},
	{"sbx/cmd/sbx", "testing", "test helpers do not ship"},
}

// leaves are exempt from the arrows to what lies above them: the package that
// defines a step is imported from everywhere.
var leaves = []string{"sbx/internal/step"}

type pkg struct {
	ImportPath string
	Dir        string
	Imports    []string
	Deps       []string
	GoFiles    []string
	CgoFiles   []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-buildvcs=false", "-json=ImportPath,Dir,Imports,Deps,GoFiles,CgoFiles", "sbx/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

// below tells whether path is the package or lies beneath it; with a leading
// "=" only whether it is the package.
func below(path, pattern string) bool {
	if exact, ok := strings.CutPrefix(pattern, "="); ok {
		return path == exact
	}
	return path == pattern || strings.HasPrefix(path, strings.TrimSuffix(pattern, "/")+"/")
}

func TestArrows(t *testing.T) {
	list := packages(t)
	if len(list) < 5 {
		t.Fatalf("only %d packages", len(list))
	}
	for _, p := range list {
		for _, rule := range arrows {
			if !below(p.ImportPath, rule.from) {
				continue
			}
			for _, dep := range p.Deps {
				if below(dep, rule.to) && !slices.Contains(leaves, dep) {
					t.Errorf("%s depends on %s: %s", p.ImportPath, dep, rule.why)
				}
			}
		}
	}
}

// shipped are the packages that end in the binary.
func shipped(t *testing.T) []pkg {
	t.Helper()
	list := packages(t)
	var deps []string
	for _, p := range list {
		if p.ImportPath == "sbx/cmd/sbx" {
			deps = append(p.Deps, p.ImportPath)
		}
	}
	if len(deps) == 0 {
		t.Fatal("there is no sbx/cmd/sbx")
	}
	return slices.DeleteFunc(list, func(p pkg) bool { return !slices.Contains(deps, p.ImportPath) })
}

// banned calls, as "package path.Name", with the reason.
var banned = map[string]string{
	"os/exec.Command":        "no helper programs: what PATH or a file on disk says must not decide (property 38)",
	"os/exec.CommandContext": "no helper programs: what PATH or a file on disk says must not decide (property 38)",
	"os/exec.LookPath": "it searches the current directory's idea of PATH; the launcher has a search of " +
		"its own",
	"os.StartProcess":      "a process is started by the plan or not at all",
	"syscall.ForkExec":     "a process is started by the plan or not at all",
	"syscall.StartProcess": "a process is started by the plan or not at all",
	"os.MkdirTemp":         "no names in shared directories: detached mounts need none (property 25)",
	"os.CreateTemp":        "no names in shared directories: detached mounts need none (property 25)",
	"os.TempDir":           "no names in shared directories: detached mounts need none (property 25)",
	"os.Executable":        "sbx is never started again by its path: no re-exec",
	"regexp.MustCompile":   "compiled at every launch if at package level; a loop over bytes says it as well",
	"log.Fatal":            "one place decides the exit status and prints (cmd/sbx)",
	"log.Fatalf":           "one place decides the exit status and prints (cmd/sbx)",
	"golang.org/x/sys/unix.Mount": "the new mount API: mount(2) takes paths and follows links (CVE-2021-30465, " +
		"bubblewrap 2026-87766)",
	"syscall.Mount": "the new mount API: mount(2) takes paths and follows links (CVE-2021-30465, " +
		"bubblewrap 2026-87766)",
}

// TestBannedCalls walks the code that ships for calls that must not be there,
// and for anything that looks like a shell.
func TestBannedCalls(t *testing.T) {
	for _, p := range shipped(t) {
		for _, name := range append(p.GoFiles, p.CgoFiles...) {
			file := filepath.Join(p.Dir, name)
			set := token.NewFileSet()
			parsed, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			imports := map[string]string{}
			for _, spec := range parsed.Imports {
				path, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				local := filepath.Base(path)
				if spec.Name != nil {
					local = spec.Name.Name
				}
				imports[local] = path
				if path == "os/exec" {
					t.Errorf("%s imports os/exec: %s", file, banned["os/exec.Command"])
				}
			}
			ast.Inspect(parsed, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.SelectorExpr:
					local, ok := n.X.(*ast.Ident)
					if !ok {
						return true
					}
					if why, ok := banned[imports[local.Name]+"."+n.Sel.Name]; ok && imports[local.Name] != "" {
						t.Errorf("%v: %s.%s: %s", set.Position(n.Pos()), local.Name, n.Sel.Name, why)
					}
				case *ast.BasicLit:
					if n.Kind != token.STRING {
						return true
					}
					s, err := strconv.Unquote(n.Value)
					if err == nil && (strings.HasPrefix(s, "sh -c") || s == "/bin/sh" || s == "/bin/bash") {
						t.Errorf("%v: %q: no shell in what ships (property 22)", set.Position(n.Pos()), s)
					}
				}
				return true
			})
		}
	}
}

// TestNoStartupWork: package initialisation is paid at every launch, so what
// ships has no init functions.
func TestNoStartupWork(t *testing.T) {
	for _, p := range shipped(t) {
		for _, name := range p.GoFiles {
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, decl := range parsed.Decls {
				if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
					t.Errorf("%s has an init function", filepath.Join(p.Dir, name))
				}
			}
		}
	}
}

// TestFileSize: a file that cannot be read in one sitting is not read.
// Generated ones say so in their first line and are exempt.
func TestFileSize(t *testing.T) {
	const most = 400
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" {
			return nil
		}
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if lines := set.File(parsed.Pos()).LineCount(); lines > most && !ast.IsGenerated(parsed) {
			t.Errorf("%s has %d lines, %d is the most", path, lines, most)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
