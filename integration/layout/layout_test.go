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

// allowed are the packages of this module that each package may import, lower
// floors only. What does not stand here is an arrow that nobody has drawn: think
// first whether it runs downwards, then add it with its reason, if it has one of
// its own.
//
//	cmd/sbx     speaks to the user            -> sandbox, policies, policy
//	sandbox     the public face               -> launch -> plan -> rootfs -> host -> policy
//	ns, caps, sandbox/internal/...  steps     -> internal/step
//	policies, policy/...            policies  -> policy -> policy/seccomp, policy/capability
var allowed = map[string][]string{
	"cmd/sbx": {
		"internal/cache", "internal/inspect", "internal/review", "internal/startlimits", "internal/sys", "internal/text",
		"internal/timerslack", "policies",
		"policy", "policy/bwrap", "policy/firejail",
		"policy/explain", "policy/formats", "policy/learn",
		"policy/oci", "policy/seccomp", "policy/seccomp/bpf",
		"policy/seccomp/compile", "policy/systemd", "sandbox",
	},

	// The launcher, from the face down. No arrow runs up, and none from one that
	// decides to one that acts.
	"sandbox": {
		"internal/sys", "policy", "policy/explain", "policy/seccomp", "policy/seccomp/compile", "sandbox/internal/host",
		"sandbox/internal/launch", "sandbox/internal/plan", "sandbox/internal/private", "sandbox/internal/setid",
		"sandbox/internal/trial", "sandbox/internal/doctor",
	},
	"sandbox/internal/launch": {
		"internal/step", "internal/sys", "internal/text", "ns", "policy", "policy/explain", "policy/learn", "policy/seccomp",
		"sandbox/internal/cgroup",
		"sandbox/internal/child", "sandbox/internal/gateway", "sandbox/internal/host", "sandbox/internal/notify",
		"sandbox/internal/plan", "sandbox/internal/private",
		"sandbox/internal/process", "sandbox/internal/sdnotify", "sandbox/internal/signals", "sandbox/internal/startstate",
		"sandbox/internal/setid", "sandbox/internal/terminal",
	},
	"sandbox/internal/plan": {
		"caps", "internal/step", "internal/text", "ns", "policy", "policy/explain", "policy/network",
		"policy/seccomp", "policy/seccomp/bpf",
		"policy/seccomp/listen",
		"sandbox/internal/cgroup",
		"sandbox/internal/fallbackfilter", "sandbox/internal/gateway", "sandbox/internal/host",
		"sandbox/internal/landlock", "sandbox/internal/private", "sandbox/internal/process", "sandbox/internal/rootfs",
		"sandbox/internal/setid", "sandbox/internal/terminal",
	},
	"sandbox/internal/rootfs": {
		"caps", "internal/step", "internal/text", "ns", "policy", "sandbox/internal/host", "sandbox/internal/landlock",
	},
	// It asks cgroup, landlock and terminal what the machine has of them.
	"sandbox/internal/host": {
		"caps", "internal/cache", "internal/sys", "internal/text", "ns", "policy", "sandbox/internal/cgroup",
		"sandbox/internal/landlock",
		"sandbox/internal/startstate", "sandbox/internal/terminal",
	},

	// It answers denied calls while the target runs, by the filters alone.
	"sandbox/internal/notify": {
		"internal/sys", "policy/explain", "policy/learn", "policy/seccomp", "policy/seccomp/bpf", "policy/seccomp/listen",
		"sandbox/internal/process", "sandbox/internal/setid", "sandbox/internal/unotify",
	},

	// It connects the sandbox's network to what the policy names, by the rules alone.
	"sandbox/internal/gateway": {"internal/step", "internal/sys", "policy/network"},

	// Steps: they know how, and decide nothing.
	"caps":                      {"internal/step"},
	"ns":                        {"internal/step", "internal/text"},
	"sandbox/internal/cgroup":   {"internal/step", "internal/sys", "internal/text"},
	"sandbox/internal/landlock": {"internal/step", "internal/text"},
	"sandbox/internal/private":  {"internal/step", "internal/text"},
	"sandbox/internal/process":  {"internal/step", "internal/sys", "internal/text"},
	"sandbox/internal/terminal": {"internal/step"},
	// It runs inside, in the place of a target.
	"sandbox/internal/trial": {"caps", "sandbox/internal/attempt"},
	// It tries what the kernel has, and starts nothing.
	"sandbox/internal/doctor":  {"caps", "ns", "policy", "sandbox/internal/attempt", "sandbox/internal/cgroup"},
	"sandbox/internal/attempt": {},
	"sandbox/internal/setid":   {"internal/step", "internal/text", "policy/seccomp", "sandbox/internal/unotify"},
	"sandbox/internal/unotify": {},
	// It relays what the target tells its service manager.
	"sandbox/internal/sdnotify": {},
	// What runs in the forked child can be read in one sitting.
	"sandbox/internal/child":          {"internal/step"},
	"sandbox/internal/fallbackfilter": {"policy/seccomp"},
	"sandbox/internal/signals":        {},
	"sandbox/internal/startstate":     {},
	"internal/step":                   {},
	// It works on files, before a sandbox is there and when it is gone: the plan is told
	// directories, and knows nothing of it.
	"internal/review":      {"internal/sys", "internal/text"},
	"internal/cache":       {"internal/sys"},
	"internal/startlimits": {},
	"internal/many":        {}, // what tests ask
	"internal/fdtest":      {}, // what tests ask
	"internal/ptytest":     {}, // what tests ask
	"internal/sys":         {},
	"internal/text":        {},
	"internal/timerslack":  {},
	"internal/inspect":     {"caps"},

	// Policies are data; the formats of others lie above the language.
	"policies":               {"internal/sys", "policy", "policy/oci", "policy/seccomp"},
	"policies/filters":       {},
	"policy/explain":         {"internal/text", "policy", "policy/network", "policy/seccomp"},
	"policy/learn":           {"policy", "policy/explain", "policy/seccomp"},
	"policy/formats":         {"policy", "policy/oci", "policy/seccomp", "policy/seccomp/compile", "policy/systemd"},
	"policy/oci":             {"policy", "policy/capability", "policy/seccomp"},
	"policy/bwrap":           {"internal/text", "policy", "policy/capability"},
	"policy/firejail":        {"internal/text", "policy", "policy/capability", "policy/seccomp"},
	"policy/systemd":         {"policy", "policy/capability", "policy/seccomp"},
	"policy":                 {"policy/capability", "policy/network", "policy/seccomp"},
	"policy/network":         {"policies/hosts"},
	"policies/hosts":         {},
	"policy/capability":      {},
	"policy/seccomp/bpf":     {"policy/seccomp"},
	"policy/seccomp/compile": {"policy/seccomp"},
	"policy/seccomp/listen":  {"policy/seccomp", "policy/seccomp/bpf"},
	"policy/seccomp":         {},

	// What generates, measures and shows, and does not ship.
	"integration/snippets":                {"policies", "policy", "policy/seccomp", "sandbox"},
	"caps/internal/gen":                   {},
	"policies/internal/gen":               {"policies/internal/generate"},
	"policies/internal/generate":          {"policy", "policy/seccomp", "policy/seccomp/compile"},
	"policy/seccomp/internal/gen":         {},
	"policy/seccomp/internal/percall":     {"policy/oci", "policy/seccomp", "policy/seccomp/compile"},
	"sandbox/internal/fallbackfilter/gen": {"policy/seccomp", "policy/seccomp/compile", "sandbox/internal/fallbackfilter"},
	"sandbox/internal/plantest":           {"policies", "policy", "policy/seccomp", "sandbox/internal/host"},
	"integration":                         {},
	"integration/bench":                   {"policies", "policy/seccomp"},
	"integration/kernels":                 {"integration/kernels/job"},
	"integration/kernels/guest":           {"integration/kernels/job"},
	"integration/kernels/job":             {},
	"integration/layout":                  {},
	"integration/probe":                   {"integration/probe/oracle"},
	"integration/probe/oracle":            {},
	"integration/sbom":                    {},
}

// forbidden is a package of others that must not be reached: those matching
// from may not import, themselves or through others, what matches to.
type forbidden struct{ from, to, why string }

var outside = []forbidden{
	{"sbx/sandbox", "github.com/alecthomas/kong", "only the subcommands parse flags with it"},
	{"sbx/policy", "github.com/alecthomas/kong", "only the subcommands parse flags with it"},
	{"sbx/cmd/sbx", "net/http", "the launcher starts in a millisecond; this costs more than that and is a way out"},
	{"sbx/cmd/sbx", "=net", "no names are looked up and nothing is listened to; its start-up is not free"},
	{"sbx/cmd/sbx", "plugin", "nothing is loaded at run time"},
	{"sbx/cmd/sbx", "testing", "test helpers do not ship"},
}

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

// TestArrows compares who imports whom with the list of what is allowed.
func TestArrows(t *testing.T) {
	list := packages(t)
	for _, p := range list {
		name := strings.TrimPrefix(p.ImportPath, "sbx/")
		may, known := allowed[name]
		if !known {
			t.Errorf("%s is a new package: say in this test what it may import", p.ImportPath)
			continue
		}
		for _, dep := range p.Imports {
			if to, ours := strings.CutPrefix(dep, "sbx/"); ours && !slices.Contains(may, to) {
				t.Errorf("%s imports %s, an arrow that the list of this test does not have", p.ImportPath, dep)
			}
		}
		for _, to := range may {
			if !slices.Contains(p.Imports, "sbx/"+to) {
				t.Errorf("%s may import sbx/%s and does not: take it off the list of this test", p.ImportPath, to)
			}
		}
		for _, rule := range outside {
			if !below(p.ImportPath, rule.from) {
				continue
			}
			for _, dep := range p.Deps {
				if below(dep, rule.to) {
					t.Errorf("%s depends on %s: %s", p.ImportPath, dep, rule.why)
				}
			}
		}
	}
	for name := range allowed {
		if !slices.ContainsFunc(list, func(p pkg) bool { return p.ImportPath == "sbx/"+name }) {
			t.Errorf("there is no package sbx/%s", name)
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
