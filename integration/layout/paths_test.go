package layout

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pathCalls are functions that take a path of the host, by the number of that
// argument.
var pathCalls = map[string]int{
	"golang.org/x/sys/unix.Open": 0, "golang.org/x/sys/unix.Openat": 1, "golang.org/x/sys/unix.Openat2": 1,
	"golang.org/x/sys/unix.Stat": 0, "golang.org/x/sys/unix.Lstat": 0, "golang.org/x/sys/unix.Fstatat": 1,
	"golang.org/x/sys/unix.Statx": 1, "golang.org/x/sys/unix.Access": 0, "golang.org/x/sys/unix.Faccessat": 1,
	"golang.org/x/sys/unix.Readlink": 0, "golang.org/x/sys/unix.Readlinkat": 1, "golang.org/x/sys/unix.Statfs": 0,
	"golang.org/x/sys/unix.Getxattr": 0, "golang.org/x/sys/unix.Chdir": 0,
	"os.Open": 0, "os.OpenFile": 0, "os.ReadFile": 0, "os.ReadDir": 0, "os.Stat": 0, "os.Lstat": 0,
	"os.Readlink": 0, "os.Create": 0, "os.WriteFile": 0, "os.DirFS": 0, "os.Mkdir": 0, "os.MkdirAll": 0,
	"path/filepath.EvalSymlinks": 0, "path/filepath.Walk": 0, "path/filepath.WalkDir": 0, "path/filepath.Glob": 0,
	"sbx/internal/sys.ReadFile": 0, "sbx/internal/sys.ReadFileAt": 1,
	"sbx/internal/sys.Open": 1, "sbx/internal/sys.OpenRegular": 1, "sbx/internal/sys.ReadRegular": 0,
	"sbx/internal/sys.ReadRegularAt": 1,
}

// paths are the files of the source, or whole packages, in which such calls have a
// path that is not written there, and why none of those needs to be judged.
var paths = map[string]string{
	"sandbox/internal/host/walk.go":           "the walker itself, which host.look and host.Follow judge",
	"sandbox/internal/host/trust.go":          "links of the kernel's in /proc, in a directory that look has judged",
	"sandbox/internal/host/namespaces.go":     "a descriptor, by /proc/self/fd",
	"sandbox/internal/host/own.go":            "a descriptor, by /proc/self/fd, and the name that the kernel says",
	"sandbox/internal/host/account.go":        "/etc/passwd and /etc/group, written in sbx",
	"sandbox/internal/host/indexes.go":        "a descriptor, by /proc/self/fd",
	"sandbox/internal/host/certs.go":          "names in a directory that the walker opened; probe judges the way there",
	"sandbox/internal/host/probe_paths.go":    "what look came to, and the name that the kernel says for a descriptor",
	"sandbox/internal/host/overlays.go":       "what look came to",
	"sandbox/internal/host/reading.go":        "names in what look came to: links on the way are refused",
	"sandbox/internal/host/scan.go":           "names in what look came to: links on the way are refused",
	"sandbox/internal/host/entry.go":          "entries of a directory that is open, without following links",
	"sandbox/internal/host/content.go":        "entries of a directory that is open, without following links",
	"sandbox/internal/host/lead.go":           "what it finds is hidden, wherever a link leads; it shows nothing",
	"sandbox/internal/host/aliases.go":        "names in what look came to: links on the way are refused",
	"sandbox/internal/host/procmasks.go":      "names in /proc that are written in sbx",
	"sandbox/internal/host/subids.go":         "/etc/subuid and /etc/subgid, written in sbx",
	"sandbox/internal/cgroup":                 "paths of cgroupfs that the kernel says",
	"sandbox/internal/terminal":               "a terminal, by a descriptor",
	"sandbox/internal/host/console.go":        "the name of the controlling terminal's descriptor, which look judges",
	"sandbox/internal/host/gitfollow.go":      "what it finds becomes read-only, wherever a link leads; it shows nothing",
	"sandbox/internal/host/errors.go":         "for the words of a hint",
	"sandbox/internal/host/lookagain.go":      "after the end: what it finds is said",
	"sandbox/internal/launch":                 "processes in /proc",
	"sandbox/internal/setid/directory.go":     "in the root of the process that asks, by O_PATH, for that process",
	"sandbox/internal/setid/listener.go":      "processes in /proc",
	"sandbox/internal/host/bare.go":           "names in a directory that the walker opened, without following links",
	"sandbox/internal/private":                "names in a directory that the launcher made, without following links",
	"sandbox/internal/setid/metadata.go":      "processes in /proc, and a descriptor, by /proc/self/fd",
	"sandbox/internal/setid/sweep.go":         "entries of a directory that is open, without following links",
	"sandbox/filters.go":                      "what an entry is, for words about filters",
	"sandbox/internal/notify":                 "processes in /proc",
	"sandbox/internal/gateway/hostsocket.go":  "beneath a directory that host.look has opened, without links",
	"sandbox/internal/gateway/innersocket.go": "beneath the sandbox's root, without links",
	"sandbox/internal/host/streams.go":        "a descriptor, by /proc/self/fd; look judges the name that it has",
	"sandbox/internal/process":                "for the words of an error or a note: nothing is decided",
	"ns/denied.go":                            "settings of the kernel in /proc/sys, for the words of an error",
	"internal/review":                         "beneath a descriptor, without links; roots without links, by inode number",
	"internal/sys":                            "it is on the list above: its callers are looked at",
	"policies/read.go":                        "a stricter walk of its own; host.probeSources judges what else was read",
	"sandbox/pipes.go":                        "/dev/null alone",
	"policies/list.go":                        "sbx policy list starts nothing",
	"policies/policies.go":                    "for the words of a hint",
	"internal/cache":                          "filters are compared with the policy; look judges the way to searches",
	"internal/inspect":                        "processes in /proc, and their cgroups",
	"sandbox/internal/doctor":                 "files that are written in sbx",
	"sandbox/internal/trial":                  "it runs in the sandbox: processes in /proc",
	"cmd/sbx/bwrap_make.go":                   "what the line shows, and names beneath it, without following links",
	"cmd/sbx/policy_try.go":                   "whether something is there, for the words about a line of [expect]",
	"cmd/sbx/trust.go":                        "beside the user's policies; its owner and mode are checked",
	"cmd/sbx/writefile.go":                    "output of subcommands, to where the user says",
	"cmd/sbx/policy_new.go":                   "a new file, to where the user says, or among the user's policies",
	"cmd/sbx/policy_export.go":                "a subcommand, which starts nothing",
	"cmd/sbx/readfile.go":                     "input of subcommands, which start nothing",
	"cmd/sbx/arguments.go":                    "whether an argument is a script of sbx's; probe judges the way there",
	"cmd/sbx/startdir.go":                     "whether an argument names a file, for the words of a note",
	"cmd/sbx/commit.go":                       "after the error: which names a hint has",
	"cmd/sbx/ready.go":                        "below /proc/PID, of the target",
	"cmd/sbx/jobserver.go":                    "whether MAKEFLAGS names a FIFO; probe judges the way there",
	"cmd/sbx/events.go":                       "it follows no link, and is refused where the target may write to it",
	"cmd/sbx/bwrap.go":                        "whether a source is there, for an error",
	"cmd/sbx/bwrap_descriptors.go":            "a lock that holds up nobody, /dev/null, and namespaces in /proc",
	"cmd/sbx/explain.go":                      "after the end: it says what is there, and opens nothing",
	"cmd/sbx/learn.go":                        "what is there, and where links lead; it opens nothing",
	"cmd/sbx/learn_flags.go":                  "the directory of a policy to write, to which no link leads",
	"cmd/sbx/last.go":                         "the state directory, to which no link leads",
	"cmd/sbx/place.go":                        "where the caller is, and PATH: they take a project away, and give none",
	"sandbox/internal/host/programs.go":       "by descriptors of the walker, and names in what it judges",
	"cmd/sbx/shim.go":                         "a subcommand: it makes and removes links to sbx alone",
	"cmd/sbx/shim_run.go":                     "which program PATH has, in a sandbox",
	"sandbox/internal/host/unit.go":           "systemd's own directories: it only refuses a launch",
	"cmd/sbx/glob.go":                         "what the patterns of a profile match, to print a policy",
	"sandbox/internal/host/marks.go":          "whether a repository is there: it only makes the launch stricter",
	"policies/repository.go":                  "where what was read lies, by inode: it only makes the launch stricter",
}

// TestPathsOfTheHost: every path that a policy, a flag or the environment names
// goes through host.look, or host.Follow, which judge who can have made the links
// on the way. Nothing else opens such a path.
func TestPathsOfTheHost(t *testing.T) {
	found := map[string]bool{}
	for _, p := range shipped(t) {
		for _, name := range append(p.GoFiles, p.CgoFiles...) {
			file := filepath.Join(p.Dir, name)
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			calls := pathFuncs(parsed)
			if len(calls) == 0 {
				continue
			}
			dir := strings.TrimPrefix(p.ImportPath, "sbx/")
			switch {
			case paths[dir] != "":
				found[dir] = true
			case paths[dir+"/"+name] != "":
				found[dir+"/"+name] = true
			default:
				t.Errorf("%s opens paths by itself, in %s: let host.look do it, or say here why they need not be judged",
					file, calls)
			}
		}
	}
	for f := range paths {
		if !found[f] {
			t.Errorf("%s opens no path any more: take it off the list", f)
		}
	}
}

// pathFuncs are the functions of a file that open paths that are not written
// there.
func pathFuncs(file *ast.File) (list []string) {
	imports := importsOf(file)
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			arg, known := pathCalls[imports[x.Name]+"."+sel.Sel.Name]
			if !known || arg >= len(call.Args) {
				return true
			}
			if _, literal := call.Args[arg].(*ast.BasicLit); !literal && !slices.Contains(list, f.Name.Name) {
				list = append(list, f.Name.Name)
			}
			return true
		})
	}
	return list
}

// TestPathsSeen shows that the check above sees what it is to see.
func TestPathsSeen(t *testing.T) {
	for source, want := range map[string]string{
		"import \"os\"\nfunc f(s string) { os.Open(s) }":                                                          "f",
		"import \"os\"\nfunc f() { os.Open(\"/proc/self/status\") }":                                              "",
		"import u \"golang.org/x/sys/unix\"\nfunc (x T) g(s string) { h(func() { u.Openat(3, s+\"x\", 0, 0) }) }": "g",
		"import \"path/filepath\"\nfunc f(s string) { filepath.EvalSymlinks(s) }":                                 "f",
		"import \"path/filepath\"\nfunc f(s string) { filepath.Clean(s) }":                                        "",
	} {
		if got := strings.Join(pathFuncs(parseText(t, "package x\n"+source+"\n")), " "); got != want {
			t.Errorf("%s: %q, want %q", source, got, want)
		}
	}
}
