package plan

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/internal/step"
	"sbx/ns"
	"sbx/policies"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/plantest"
	"sbx/sandbox/internal/process"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares a text with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("it differs from %s (- there, + now; go test ./sandbox/internal/plan -update rewrites it):\n%s",
			name, cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")))
	}
}

// refusals writes the messages of a table's refused cases to one file, where they can be
// reviewed. The reason of each refusal is in the table.
type refusals strings.Builder

func (r *refusals) add(name string, err error) {
	if err == nil {
		return
	}
	b := (*strings.Builder)(r)
	fmt.Fprintf(b, "%s\n  error: %v\n", name, err)
	if hint := Hint(err); hint != "" {
		fmt.Fprintf(b, "  hint: %s\n", hint)
	}
}

func (r *refusals) String() string { return (*strings.Builder)(r).String() }

// TestGolden checks the plan of every shipped policy, for a user and for root. The filters'
// lengths are left out; the filters have golden files of their own.
func TestGolden(t *testing.T) {
	for _, name := range policies.Names() {
		for _, who := range []struct {
			name string
			uid  int
		}{{"user", 1000}, {"root", 0}} {
			t.Run(name+"/"+who.name, func(t *testing.T) {
				p := plantest.Shipped(t, name)
				dir := "/"
				if p.Files.Shows("/home/u/p") {
					dir = "/home/u/p"
				}
				target := host.Target{
					Path: "tool",
					Args: []string{"tool", "-x"},
					Env:  []string{"PATH=/usr/bin:/bin", "SECRET=1"},
					Dir:  dir,
					PID:  77,
				}
				plan, err := Build(p, plantest.AllowAll, target, plantest.Debian(p, who.uid))
				if err != nil {
					t.Fatal(err)
				}
				got := plan.String()
				golden(t, name+"."+who.name+".plan", got)
				again, err := Build(p, plantest.AllowAll, target, plantest.Debian(p, who.uid))
				if err != nil || again.String() != got {
					t.Errorf("a second Build gives another plan: %v", err)
				}
				if err := sound(plan, p); err != "" {
					t.Error(err)
				}
			})
		}
	}
}

// TestJSON compares the plan as JSON with the plan as text, step by step.
func TestJSON(t *testing.T) {
	p := plantest.Shipped(t, "default")
	plan, err := Build(p, plantest.AllowAll, host.Target{Path: "x", Args: []string{"x"}, Dir: "/tmp"},
		plantest.Debian(p, 1000))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Policy     string
		Namespaces []string
		Steps      []struct{ Step, In, Kind string }
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	steps, _, _ := strings.Cut(plan.String(), "\nnote: ")
	lines := strings.Split(strings.TrimSpace(steps), "\n")[1:]
	if len(lines) != len(got.Steps) || got.Policy != "default" || !slices.Contains(got.Namespaces, "user") {
		t.Fatalf("%d lines and %d steps of %s in %v", len(lines), len(got.Steps), got.Policy, got.Namespaces)
	}
	for i, l := range lines {
		if !strings.HasSuffix(l, got.Steps[i].Step) || !strings.Contains(l, got.Steps[i].In) || got.Steps[i].Kind == "" {
			t.Errorf("line %q is step %+v", l, got.Steps[i])
		}
	}
}

// sound says what is wrong with a plan, whatever the policy: a position in the order that no
// policy may change, or a file that is shown and not named.
func sound(plan *Plan, p *policy.Policy) string {
	var nnp, reduced, filter, execs, private, pivot, listens int
	var seq []step.Step
	plan.Each(func(in string, s step.Step) {
		if in != "init" && in != "cleanup" {
			seq = append(seq, s)
		}
	})
	for i, s := range seq {
		if filter > 0 {
			switch s.(type) {
			case process.Seccomp, process.VerifySeccomp, process.Exec:
			default:
				return "after the filter comes " + s.String()
			}
		}
		switch s := s.(type) {
		case ns.MakePrivate:
			private = i
		case ns.Pivot:
			pivot = i
		case process.NoNewPrivs:
			nnp = i
		case caps.Reduce:
			reduced = i
		case process.Seccomp:
			filter = i
		case process.ListenSetID:
			listens = i
		case process.Chdir, process.CloseFDs:
			if listens > 0 {
				return "the launcher would be asked about " + s.String()
			}
		case process.Exec:
			execs++
			if i != len(seq)-1 {
				return "exec is not last"
			}
		case landlock.Restrict:
			if nnp == 0 {
				return "Landlock before no_new_privs"
			}
		case ns.Bind:
			if private == 0 || pivot != 0 {
				return "a bind outside of its time: " + s.String()
			}
			if !namedBy(p, s) {
				return "a source that the policy does not name: " + s.Source
			}
			if s.Write && !s.Device && !slices.ContainsFunc(p.Files.Write, func(w string) bool {
				return real(w) == s.Dest || real(w) == s.Source || s.Below && policy.Within(s.Source, real(w))
			}) {
				return "writable without being named so: " + s.Source
			}
		}
	}
	switch {
	case execs != 1:
		return "not one exec"
	case nnp == 0 || filter == 0 || reduced == 0 || pivot == 0:
		return "no no_new_privs, filter, reduced capabilities or pivot"
	case nnp > filter || reduced > filter:
		return "the filter is loaded before no_new_privs or before the capabilities go"
	}
	return ""
}

func real(s string) string { return strings.TrimPrefix(s, "?") }

func namedBy(p *policy.Policy, b ns.Bind) bool {
	if b.Device {
		return path.Dir(b.Source) == "/dev"
	}
	if len(p.Files.Guard) > 0 && !b.Write && b.Below && policy.Within(b.Source, "/home/u/p") {
		return true // what the machine on paper has of guarded names
	}
	for _, list := range [...][]string{p.Files.Read, p.Files.Write} {
		for _, s := range list {
			// It may also be a directory over a protected path; see between.
			if s = real(s); s == b.Source || s == b.Dest || b.Write && b.Below && policy.Within(s, b.Source) {
				return true
			}
		}
	}
	return false
}

// FuzzBuild makes policies from bytes. Whatever they list, the plan is sound, and the last
// of its mounts over each path is what the lists say. Refusals are allowed, but not for the
// seeds that must be planned: otherwise a Build that refuses everything would pass.
func FuzzBuild(f *testing.F) {
	planned := []string{
		"r/a w/a/b t/tmp r/a/b/c",
		"r/ w/a t/a h/a/b",
		"w/a r/a/b w/a/b/c t/a/b/c/d r/dev",
		"o/a r/a/b o/a/b/c t/a/b/c/d h/a/x i/t/f l/t/l d/d/e t/t n/t/no",
		"w/ t/tmp",
		"r/a d/a/b",
	}
	refused := []string{
		"w/a i/a/f", "r/a l/a/b", // sbx makes nothing in a directory of the host
		"l/a r/a",                 // two entries for one path
		"r/ n/x", "r/a n/a/b d/a", // hidden, and visible as soon as it is made
		"h/", // nothing could run
		"o/", "t/ r/a",
	}
	for _, spec := range slices.Concat(planned, refused) {
		f.Add([]byte(spec), true)
		f.Add([]byte(spec), false)
	}
	f.Fuzz(func(t *testing.T, spec []byte, root bool) {
		p, absent := &policy.Policy{Name: "fuzz"}, ""
		for _, w := range strings.Fields(string(spec)) {
			s := path.Clean("/" + strings.Trim(strings.ToLower(w[1:]), "?"))
			if strings.ContainsRune(s, 0) || strings.HasPrefix(s, "/dev/") || strings.HasPrefix(s, "/proc") || len(s) > 200 {
				continue
			}
			switch w[0] {
			case 'r':
				p.Files.Read = append(p.Files.Read, s)
			case 'w':
				p.Files.Write = append(p.Files.Write, s)
			case 't':
				p.Files.Tmpfs = append(p.Files.Tmpfs, s)
			case 'h':
				p.Files.Hide = append(p.Files.Hide, s)
			case 'o':
				p.Files.Overlay = append(p.Files.Overlay, s)
			case 'd':
				p.Files.Directories = append(p.Files.Directories, s)
			case 'i':
				p.Files.Inline = map[string]string{s: "x"}
			case 'l':
				p.Files.Symlinks = map[string]string{s: "x"}
			case 'n':
				absent = s
			}
		}
		uid := 1000
		if root {
			uid = 0
		}
		h := plantest.Debian(p, uid)
		for k, f := range h.Files { // all are directories, so that anything may nest
			if path.Dir(k) != "/dev" {
				f.Mode, f.Link, f.Real = unix.S_IFDIR, "", k
				h.Files[k] = f
			}
		}
		for _, s := range slices.Concat(p.Files.Overlay, p.Files.Directories) {
			if _, ok := h.Files[s]; !ok {
				h.Files[s] = host.File{Real: s, Mode: unix.S_IFDIR, Ino: uint64(9000 + len(h.Files))}
			}
		}
		if _, ok := h.Files[absent]; ok {
			absent = ""
		}
		if absent != "" {
			p.Files.Hide, h.Files[absent] = append(p.Files.Hide, absent), host.File{Real: absent}
		}
		plan, err := Build(p, []seccomp.Program{plantest.AllowAll[0]},
			host.Target{Path: "/x", Args: []string{"x"}, Dir: "/"}, h)
		if err != nil && slices.Contains(planned, string(spec)) || err == nil && slices.Contains(refused, string(spec)) {
			t.Fatalf("the seed %q: %v", spec, err)
		}
		if err != nil {
			return
		}
		if under := covering(plan, absent); absent != "" && (under == "read" || under == "write" || under == "overlay") {
			t.Fatalf("%s does not exist, and would be visible\n%+v\n%s", absent, p.Files, plan)
		}
		if bad := sound(plan, p); bad != "" {
			t.Fatalf("%s\n%+v\n%s", bad, p.Files, plan)
		}
		for _, probe := range slices.Concat(p.Files.Read, p.Files.Write, p.Files.Tmpfs, p.Files.Overlay) {
			if probe == "/dev" || probe == "/" {
				continue
			}
			if got, want := covering(plan, probe), meant(p, probe); got != want {
				t.Fatalf("%s is %q, want %q\n%+v\n%s", probe, got, want, p.Files, plan)
			}
		}
	})
}

// covering is what the plan's last mount over a path makes of it.
func covering(plan *Plan, probe string) string {
	is := ""
	for _, s := range plan.Setup {
		switch s := s.(type) {
		case ns.RootBind:
			is = mode(s.Write)
		case ns.Bind:
			if policy.Within(probe, s.Dest) {
				is = mode(s.Write)
			}
		case ns.Tmpfs:
			if policy.Within(probe, s.Path) {
				is = "tmpfs"
			}
			if policy.Within(probe, s.Path) && s.ReadOnly {
				is = "empty"
			}
		case ns.Overlay:
			if policy.Within(probe, s.Path) {
				is = "overlay"
			}
		}
	}
	return is
}

// meant is what the nearest entry over a path says, found in the simplest way.
func meant(p *policy.Policy, probe string) string {
	for {
		switch {
		case slices.Contains(p.Files.Write, probe):
			return mode(true)
		case slices.Contains(p.Files.Read, probe):
			return mode(false)
		case slices.Contains(p.Files.Overlay, probe):
			return "overlay"
		case slices.Contains(p.Files.Tmpfs, probe):
			return "tmpfs"
		case probe == "/":
			return ""
		}
		probe = path.Dir(probe)
	}
}

func mode(write bool) string {
	if write {
		return "write"
	}
	return "read"
}
