package rootfs_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/rootfs"
)

// world is a random machine with a random policy and what became of the two.
type world struct {
	machine paper
	policy  *policy.Policy
	found   []string // what the policy's patterns match
	tree    *rootfs.Tree
	mounts  *namespace
	// Made once for all paths.
	listed, meant []claim
}

// build makes the tree and the mounts. The error is a refusal.
func (w *world) build() (err error) {
	w.tree, err = rootfs.New(w.policy, host.Target{Dir: "/"}, w.machine.facts(w.policy, w.found), rootfs.Options{})
	if err != nil {
		return err
	}
	w.mounts, err = interpret(w.machine, w.tree)
	return err
}

func newWorld(d *dice, links bool) *world {
	w := &world{machine: d.machine(links)}
	w.policy = &policy.Policy{Name: "p", Files: d.files(w.machine)}
	for range max(0, d.n(5)-2) {
		if there := w.machine.there(); len(there) > 0 {
			p := there[(d.n(256)*256+d.n(256))%len(there)]
			shown := func(c claim) bool { return c.source != p && policy.Within(p, c.source) }
			if w.machine[p].mode != unix.S_IFLNK && slices.ContainsFunc(w.all(), shown) {
				w.found = append(w.found, p)
			}
		}
	}
	return w
}

// with is the same world whose policy has been changed.
func (w *world) with(edit func(*policy.Files)) *world {
	f := w.policy.Files
	f.Paths = maps.Clone(f.Paths)
	edit(&f)
	return &world{machine: w.machine, policy: &policy.Policy{Name: "p", Files: f}, found: w.found}
}

// paths are all of the small names up to the depth, and those of the machine
// and the policy with something new in each.
func (w *world) paths() []string {
	set := map[string]bool{"/": true}
	add := func(p string) {
		for p = path.Clean(p); !set[p]; p = path.Dir(p) {
			set[p] = true
		}
	}
	tree := w.policy.Tree()
	for _, p := range w.machine.there() {
		add(p + "/d")
		for _, e := range tree.Entries {
			if e.Options.From == "" && w.machine[e.Name].mode != unix.S_IFLNK {
				continue
			}
			if real, err := w.machine.real(e.Source()); err == nil && policy.Within(p, real) {
				add(path.Join(e.Name, strings.TrimPrefix(p, real), "new"))
			}
		}
	}
	for _, e := range tree.Entries {
		add(e.Name + "/a/new")
	}
	for _, x := range tree.Hidden {
		add(x.Name + "/a/new")
	}
	delete(set, "/proc")
	delete(set, "/dev")
	return slices.Sorted(maps.Keys(set))
}

func (w *world) String() string {
	var b strings.Builder
	f := w.policy.Files
	fmt.Fprintf(&b, "write %q read %q overlay %q tmpfs %q directories %q hide %q found %q files %q links %q\n",
		f.Write, f.Read, f.Overlay, f.Tmpfs, f.Directories, f.Hide, w.found, f.Inline, f.Symlinks)
	for _, name := range slices.Sorted(maps.Keys(f.Paths)) {
		fmt.Fprintf(&b, "%s from %q, no exec %v\n", name, f.Paths[name].From, f.Paths[name].Exec != nil)
	}
	b.WriteString("machine:")
	for _, p := range w.machine.there() {
		switch i := w.machine[p]; i.mode {
		case unix.S_IFDIR:
			fmt.Fprintf(&b, " %s/", p)
		case unix.S_IFLNK:
			fmt.Fprintf(&b, " %s->%s", p, i.target)
		default:
			fmt.Fprintf(&b, " %s", p)
		}
	}
	if w.tree != nil {
		fmt.Fprintf(&b, "\ntree:\n%s", w.tree)
		steps, err := w.tree.Steps()
		for _, s := range steps {
			fmt.Fprintf(&b, "  %s\n", s)
		}
		if err != nil {
			fmt.Fprintf(&b, "  %v\n", err)
		}
	}
	return b.String()
}

// said is what the tree says of a path, in the words of the mounts.
func (w *world) said(name string) answer {
	n := w.tree.At(name)
	a := answer{kind: n.Kind, noexec: n.NoExec}
	switch {
	case n.Kind.FromHost():
		a.source = path.Join(n.Source.Real, strings.TrimPrefix(name, n.Path))
	case n.Kind == rootfs.Hidden, n.Kind == rootfs.Link, n.Kind == rootfs.Tmpfs:
	case n.Kind == rootfs.File:
		a.noexec = n.NoExec
	default:
		// Directories belong to the file system that they are made in.
		for n.Kind == rootfs.Directory && n.Path != "/" {
			n = w.tree.At(path.Dir(n.Path))
		}
		a.kind = rootfs.Directory
		if n.Kind == rootfs.Tmpfs {
			a.kind, a.noexec = rootfs.Tmpfs, n.NoExec
		}
	}
	return a
}

// at is what the tree says of a path, in its own words.
func (w *world) at(name string) answer {
	n := w.tree.At(name)
	a := answer{kind: n.Kind, noexec: n.NoExec}
	if n.Kind.FromHost() {
		a.source = path.Join(n.Source.Real, strings.TrimPrefix(name, n.Path))
	}
	return a
}

// lineAt is the same by the tree as it is printed.
func lineAt(lines []rootfs.Line, name string) answer {
	var best rootfs.Line
	for _, l := range lines {
		if policy.Within(name, l.Path) && len(l.Path) > len(best.Path) {
			best = l
		}
	}
	a := answer{noexec: best.NoExec}
	for k := rootfs.Directory; k <= rootfs.Hidden; k++ {
		if k.String() == best.Is {
			a.kind = k
		}
	}
	if a.kind.FromHost() {
		a.source = path.Join(cmp.Or(best.Source, best.Path), strings.TrimPrefix(name, best.Path))
	}
	return a
}

// check holds one world against all properties, and says which are broken.
func (w *world) check(links bool) (bad []string) {
	complain := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	lines := w.tree.Lines()
	for _, p := range w.paths() {
		said := w.said(p)
		if printed := lineAt(lines, p); printed != w.at(p) {
			complain("%s is %s by the tree, and printed as %s", p, w.at(p), printed)
		}
		got, ok := w.mounts.at(p)
		if !ok || said.kind == rootfs.Link {
			continue // behind a link or below a file
		}
		if said.kind == rootfs.File {
			got.noexec = said.noexec
		}
		if said != got {
			complain("%s is %s by the tree and %s by the mounts", p, said, got)
		}
		w.held(p, got, complain)
		if want, sure := w.naive(p); !links && sure && want != got {
			complain("%s is %s, want %s", p, got, want)
		}
	}
	w.kept(complain)
	found := func(name string) bool { // masks of patterns are not pinned
		a, ok := w.mounts.at(name)
		return ok && a.kind == rootfs.Hidden && slices.ContainsFunc(w.found,
			func(f string) bool { return path.Base(f) == path.Base(name) })
	}
	for _, p := range w.mounts.unpinned(found) {
		complain("what is mounted at %s can be moved", p)
	}
	w.rules(complain)
	return bad
}

// TestProperties holds random policies on random machines against the
// properties: always the same ones, so that its verdict does not depend on luck,
// or as many new ones as SBX_SEEDS says, as make soak does. SBX_SEED is the
// number of one of them, to see it again.
func TestProperties(t *testing.T) {
	first, count := uint64(20261130), uint64(1500)
	if s := os.Getenv("SBX_SEEDS"); s != "" {
		first = rand.Uint64N(1 << 32)
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		count = n
	}
	if s := os.Getenv("SBX_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, count = n, 1
	}
	accepted := [2]int{}
	for seed := first; seed < first+count; seed++ {
		links := seed%2 == 1
		took, bad, w := tryWorld(seeded(seed), links)
		if took {
			accepted[seed%2]++
		}
		if len(bad) > 0 {
			w, bad = w.smallest(links, bad)
			t.Fatalf("SBX_SEED=%d\n%s\n%s", seed, strings.Join(bad, "\n"), w)
		}
	}
	t.Logf("%d of %d policies accepted, %d of them among links", accepted[0]+accepted[1], count, accepted[1])
	if count > 1 && (accepted[0] < 75 || accepted[1] < 75) {
		t.Errorf("only %v of %d policies were accepted", accepted, count)
	}
}

// FuzzTree is the same for what a fuzzer thinks up.
func FuzzTree(f *testing.F) {
	for seed := range uint64(40) {
		f.Add(seeded(seed).data, seed%2 == 1)
	}
	f.Add(seeded(1458165460).data, false) // what is hidden would be shown from elsewhere, but has no place
	f.Fuzz(func(t *testing.T, data []byte, links bool) {
		if _, bad, w := tryWorld(&dice{data}, links); len(bad) > 0 {
			t.Fatalf("%s\n%s", strings.Join(bad, "\n"), w)
		}
	})
}

// tryWorld builds one world and, if its policy is accepted, what may be added
// to it, and checks them all.
func tryWorld(d *dice, links bool) (accepted bool, bad []string, _ *world) {
	w := newWorld(d, links)
	if err := w.build(); err != nil {
		if w.tree != nil {
			bad = append(bad, "its own steps fail: "+err.Error())
		}
		return false, bad, w
	}
	if bad = w.check(links); len(bad) > 0 {
		return true, bad, w
	}
	bad = w.shuffled(d)
	for range 3 {
		if len(bad) > 0 {
			return true, bad, w
		}
		bad, w = w.extended(d)
	}
	return true, bad, w
}
