package integration

import (
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Random policies over random trees of files, each case with two launches: the
// first target does all the harm that it can, the second one runs by another
// policy over what the first has left. What a target can do at each path is held
// against what sbx --dry-run --tree says, and against the tree as it was made.

// treeCases are how many cases make test has, of two launches each: as root and
// as a user, and as many as hostCases with the host's mount namespace.
const treeCases, hostCases = 40, 10

// TestTrees runs them. SBX_SEED repeats one case.
func TestTrees(t *testing.T) { trees(t, treeCases, false) }

// TestTreesByLandlock is the same where no mount is made: there Landlock alone
// holds, and what it cannot hold is refused.
func TestTreesByLandlock(t *testing.T) { trees(t, hostCases, true) }

func trees(t *testing.T, count int, host bool) {
	first, count := cases(t, count)
	total := treeCounts{}
	begin := time.Now()
	for seed := first; seed < first+uint64(count); seed++ {
		c := &treeCase{T: t, seed: seed, dir: filepath.Join(t.TempDir(), "w"), host: host, counts: &total}
		c.run()
		if t.Failed() {
			t.Fatalf("after %d cases: SBX_SEED=%d repeats it", seed-first, seed)
		}
	}
	noStrays(t)
	t.Logf("%d launches of %d cases in %v: %+v", total.launches, count, time.Since(begin).Round(time.Millisecond), total)
	if count > 1 && total.second < count/3 {
		t.Errorf("only %d of %d second launches ran", total.second, count)
	}
}

type treeCounts struct {
	launches, second, tries, planted int
}

// treeCase is one case.
type treeCase struct {
	*testing.T
	seed     uint64
	dir      string // of the tree
	host     bool
	counts   *treeCounts
	rand     *rand.Rand
	nodes    map[string]treeNode
	policies [2]*treePolicy
	// plans are what the policies make of the tree as it was made; ran says
	// that the policy was accepted.
	plans [2]treeLines
	ran   [2]bool
}

func (c *treeCase) complain(format string, args ...any) {
	c.Helper()
	if c.Failed() {
		return // one is enough to look at
	}
	base := filepath.Dir(c.dir)
	c.Error(strings.ReplaceAll(fmt.Sprintf("%s\nfirst policy:\n%s%v\nsecond policy:\n%s%v\ntree: %s",
		fmt.Sprintf(format, args...), c.policies[0].text(), c.plans[0].below(c.dir),
		c.policies[1].text(), c.plans[1].below(c.dir), c.describe()), base, ""))
}

func (c *treeCase) describe() string {
	var b strings.Builder
	for _, p := range slices.Sorted(maps.Keys(c.nodes)) {
		n := c.nodes[p]
		fmt.Fprintf(&b, " %s %c%s", strings.TrimPrefix(p, filepath.Dir(c.dir)), n.kind, n.target)
	}
	return b.String()
}

func (c *treeCase) run() {
	c.rand = rand.New(rand.NewPCG(c.seed, 0))
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		c.Fatal(err)
	}
	c.nodes = randomTree(c, c.dir, c.rand)
	c.policies[1] = randomPolicy(c.nodes, c.dir, c.rand, c.host)
	// The first is one that runs; most of the time the second is, too.
	for i := 0; i < 30 && !c.ran[0]; i++ {
		c.policies[0] = randomPolicy(c.nodes, c.dir, c.rand, c.host)
		c.plan(0)
	}
	for i := 0; i < 10 && !c.ran[1]; i++ {
		c.policies[1] = randomPolicy(c.nodes, c.dir, c.rand, c.host)
		c.plan(1)
	}
	if !c.ran[0] {
		return
	}
	before := c.snapshot()
	one := c.launch(0, 1+c.rand.Uint64N(1<<40))
	if one.status != 0 {
		c.complain("what was planned did not start: %v", one)
		return
	}
	c.surveyed(one, c.plans[0])
	planted := c.planted()
	two := c.launch(1, 1+c.rand.Uint64N(1<<40))
	switch {
	case two.status == 0:
		c.counts.second++
		if planted {
			c.counts.planted++
			break
		}
		c.afterwards(two)
	case two.status != 125 || !strings.Contains(two.stderr, "sbx: error: "):
		c.complain("neither run nor refused: %v", two)
	}
	after := c.snapshot()
	if !planted || two.status != 0 {
		c.unchanged(before, after)
	}
}

// plan asks what the policy makes of the tree.
func (c *treeCase) plan(i int) {
	c.counts.tries++
	file := c.write(i)
	args := []string{binary("sbx"), "--policy", file, "--dry-run"}
	if !c.host {
		args = append(args, "--tree", "--json")
	}
	r := run(c, call{args: append(args, "--", binary("probe")), dir: "/"})
	switch {
	case r.status == 0 && c.host:
		c.ran[i], c.plans[i] = true, c.byLandlock(i)
	case r.status == 0:
		c.ran[i], c.plans[i] = true, parseTree(c, r.stdout)
	case r.status != 125 || !strings.Contains(r.stderr, "sbx: error: "):
		c.complain("neither planned nor refused: %v", r)
	}
}

func (c *treeCase) write(i int) string {
	file := filepath.Join(filepath.Dir(c.dir), fmt.Sprintf("p%d.toml", i))
	if err := os.WriteFile(file, []byte(c.policies[i].text()), 0o644); err != nil {
		c.Fatal(err)
	}
	return file
}

// launch runs the probe, which does harm.
func (c *treeCase) launch(i int, seed uint64) result {
	c.counts.launches++
	args := []string{binary("sbx"), "--policy", c.write(i), "--", binary("probe"), "tree", fmt.Sprint(seed), c.dir}
	return run(c, call{args: append(args, c.paths(i)...), dir: "/"})
}

// paths are those at which the probe tries everything: of the tree, and of what
// the policy shows elsewhere.
func (c *treeCase) paths(i int) []string {
	set := maps.Clone(c.nodes)
	for _, l := range c.plans[i] {
		if inside(l.Path, c.dir) {
			set[l.Path], set[l.Path+"/a"] = treeNode{}, treeNode{}
		}
		for p := range c.nodes {
			if l.Source != "" && inside(p, l.Source) {
				set[filepath.Join(l.Path, strings.TrimPrefix(p, l.Source))] = treeNode{}
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// tried is one line of the probe's.
type tried struct{ when, path, kind, can, token string }

func answersOf(r result) (list []tried) {
	for line := range strings.Lines(r.stdout) {
		if f := strings.Split(strings.TrimSuffix(line, "\n"), "\t"); len(f) == 5 {
			list = append(list, tried{f[0], f[1], f[2], f[3], f[4]})
		}
	}
	return list
}

// fileOf is the file of the tree that begins so.
func (c *treeCase) fileOf(token string) string {
	p := c.dir + strings.TrimPrefix(token, "token ")
	if n := c.nodes[p]; token != "" && n.token == token {
		return p
	}
	return ""
}

// surveyed: what can be done at each path is what the plan says, before the harm
// and, where the target may not write, after it.
func (c *treeCase) surveyed(r result, plan treeLines) {
	before := map[string]tried{}
	for _, a := range answersOf(r) {
		at, source := plan.at(a.path)
		switch a.when {
		case "before":
			before[a.path] = a
			if plan.plain(a.path, c.nodes) {
				c.expected(a, at, source, plan)
			}
		case "after":
			was := before[a.path]
			loose := at.Is == "overlay" || at.Is == "tmpfs" || at.Is == "directory" || len(plan.places(source, "writable")) > 0
			more := strings.Trim(a.can, was.can) != ""
			if !loose && plan.plain(a.path, c.nodes) && (more || a.token != was.token && a.token != "") {
				c.complain("%s is %s; before: %+v, after: %+v", a.path, at.Is, was, a)
			}
		case "all":
			file := c.fileOf(a.token)
			if file == "" {
				continue
			}
			if len(plan.places(file, "read-only", "writable", "overlay")) == 0 {
				c.complain("%s can be read at %s and is not shown", file, a.path)
			}
			if strings.Contains(a.can, "w") && at.Is != "overlay" && len(plan.places(file, "writable")) == 0 {
				c.complain("%s can be written at %s", file, a.path)
			}
		}
	}
	if len(before) == 0 {
		c.complain("the probe said nothing: %v", r)
	}
}

// expected: what the plan says of a path where no harm has been done.
func (c *treeCase) expected(a tried, at treeLine, source string, plan treeLines) {
	n := c.nodes[source]
	writes := at.Is == "writable" || at.Is == "overlay"
	want := tried{a.when, a.path, "-", "", ""}
	switch {
	case at.host() && n.kind == 'd':
		want.kind, want.can = "d", "r"
	case at.host() && n.kind == 'f':
		want.kind, want.can, want.token = "f", "r", n.token
	case at.host():
	case at.Is == "tmpfs" && at.Path == a.path:
		want.kind, want.can, writes = "d", "r", true
	case at.Is == "hidden" || at.Is == "empty directory" || at.Is == "file":
		if a.kind == "f" && at.Is == "file" || a.kind == "d" && at.Is == "empty directory" {
			want.can, want.token = "r", a.token
		}
		want.kind = a.kind
	default: // directories on the way, which are in sbx's root or in a tmpfs
		return
	}
	if want.kind != "-" && writes {
		want.can += "w"
	}
	if want.kind == "f" && at.host() && !at.NoExec {
		want.can += "x"
	}
	if want.kind != "-" && writes && (at.Is != "writable" || !c.host) || c.host && want.kind != "-" {
		a.can = strings.TrimSuffix(a.can, "m") // for its owner to change
	}
	if a != want {
		c.complain("%s is %s of %q by the plan; the target finds %+v, want %+v", a.path, at.Is, source, a, want)
	}
}

// planted says whether the first target has put a link of the caller's where the
// second policy names something, and does not let it be written: such a link is
// followed, as docs/files.md says. It also looks for what cannot be seen any more.
func (c *treeCase) planted() bool {
	for _, p := range c.policies[1].names() {
		for ; inside(p, c.dir); p = filepath.Dir(p) {
			fi, err := os.Lstat(p)
			link := err == nil && fi.Mode()&fs.ModeSymlink != 0
			if link && c.nodes[p].kind == 'l' {
				to, err := os.Readlink(p)
				link = err != nil || to != c.nodes[p].target
			}
			if (link || os.IsPermission(err)) && !c.policies[1].writes(p) {
				return true
			}
		}
	}
	return false
}

// afterwards: of what the first target could not write, the second one can do
// nothing that it could not have done without the first.
func (c *treeCase) afterwards(r result) {
	for _, a := range answersOf(r) {
		file := c.fileOf(a.token)
		if file == "" || len(c.plans[0].places(file, "writable")) > 0 {
			continue
		}
		read, written := c.says(file)
		if !read {
			c.complain("%s can be read at %s in the second run: %+v", file, a.path, a)
		}
		if !written && strings.Contains(a.can, "w") {
			c.complain("%s can be written at %s in the second run: %+v", file, a.path, a)
		}
	}
}

// says is what the second policy lets happen to a file of the tree as it was
// made; if that was refused, what its entries alone say.
func (c *treeCase) says(file string) (read, written bool) {
	if c.ran[1] {
		plan := c.plans[1]
		return len(plan.places(file, "read-only", "writable", "overlay")) > 0,
			len(plan.places(file, "writable", "overlay")) > 0
	}
	p := c.policies[1]
	for list, entries := range p.lists {
		for _, s := range entries {
			s = strings.TrimPrefix(s, "?")
			if from := p.from[s]; from != "" {
				s = from
			}
			if real := c.real(s); real == "" || !inside(file, real) {
				continue
			}
			switch list {
			case "read":
				read = true
			case "write", "overlay":
				read, written = true, true
			case "hide":
				return false, false
			}
		}
	}
	return read, written
}

// real follows the links of the tree as it was made, "" if that leads out of it.
func (c *treeCase) real(name string) string {
	real, _ := c.follow(name)
	return real
}

// follow is real with the links that it follows.
func (c *treeCase) follow(name string) (real string, links []string) {
	for range 100 {
		link := ""
		for p := name; inside(p, c.dir); p = filepath.Dir(p) {
			if c.nodes[p].kind == 'l' {
				link = p
			}
		}
		if link == "" {
			return name, links
		}
		links = append(links, link)
		to := c.nodes[link].target
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(link), to)
		}
		if name = filepath.Join(to, strings.TrimPrefix(name, link)); !inside(name, c.dir) {
			return "", links
		}
	}
	return "", links
}
