package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// diffCases are how many pairs of policies make test has, of two launches each, as
// root and as a user.
const diffCases = 15

// TestTreesCompared draws pairs of policies, of which the second is the first with
// one change, and runs both. What a run under the second lets happen, and a run
// under the first does not, is said by policy diff. An entry of read or hide that is
// added makes nothing writable, and one of write shows nothing that is hidden.
func TestTreesCompared(t *testing.T) { compared(t, diffCases) }

func compared(t *testing.T, count int) {
	first, count := cases(t, count)
	begin, total, wider, launches := time.Now(), 0, 0, 0
	for seed := first; total < count && seed < first+50*uint64(count); seed++ {
		p := &treePair{treeCase{T: t, seed: seed, dir: filepath.Join(t.TempDir(), "w"), counts: &treeCounts{}}}
		ran, allowed := p.run()
		if t.Failed() {
			t.Fatalf("after %d pairs: SBX_SEED=%d repeats it", total, seed)
		}
		if ran {
			total++
		}
		if allowed {
			wider++
		}
		launches += p.counts.launches
	}
	took := time.Since(begin).Round(time.Millisecond)
	t.Logf("%d launches of %d pairs in %v, %d with more allowed", launches, total, took, wider)
	if count >= diffCases && (total < count || wider < count/8) {
		t.Errorf("only %d pairs, %d with more allowed", total, wider)
	}
}

// cases are the first seed and how many cases begin there. The few of make test are the
// same each time, so that its verdict does not depend on luck; make soak, with its many,
// draws new ones. SBX_SEED repeats one case, and SBX_CASES says how many.
func cases(t *testing.T, count int) (first uint64, n int) {
	t.Helper()
	first = 20261130
	if count >= 100 {
		first = rand.Uint64N(1 << 40)
	}
	if s := os.Getenv("SBX_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, count = seed, 1
	}
	if s := os.Getenv("SBX_CASES"); s != "" {
		many, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		count = many
	}
	return first, count
}

// treePair is a tree with two policies over it.
type treePair struct{ treeCase }

// run says whether both policies ran, and whether the second allowed more.
func (c *treePair) run() (ran, more bool) {
	c.rand = rand.New(rand.NewPCG(c.seed, 2))
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		c.Fatal(err)
	}
	c.nodes = randomTree(c, c.dir, c.rand)
	c.policies[0] = randomPolicy(c.nodes, c.dir, c.rand, false)
	c.policies[1] = c.policies[0]
	if c.plan(0); !c.ran[0] || c.leads(0) {
		return false, false
	}
	added := ""
	c.policies[1], added = c.changed(c.policies[0])
	if c.plan(1); !c.ran[1] || c.leads(1) || c.comes() || c.policies[0].text() == c.policies[1].text() {
		return false, false
	}
	can := [2]map[string]tried{}
	paths := slices.Sorted(maps.Keys(c.union()))
	for i := range can {
		c.counts.launches++
		args := []string{binary("sbx"), "--policy", c.write(i), "--", binary("probe"), "tree", "0", c.dir}
		r := run(c, call{args: append(args, paths...), dir: "/"})
		if r.status != 0 {
			c.complain("what was planned did not start: %v", r)
			return false, false
		}
		can[i] = map[string]tried{}
		for _, a := range answersOf(r) {
			if a.when == "before" {
				can[i][a.path] = a
			}
		}
	}
	var allowed []string
	for path, is := range can[1] {
		was := can[0][path]
		file := c.fileOf(is.token)
		if at, _ := c.plans[1].at(path); file == "" && !at.host() {
			continue // sbx's own, or the target's
		}
		for _, right := range is.can {
			if !strings.ContainsRune(was.can, right) {
				allowed = append(allowed, fmt.Sprintf("%c of %s", right, path))
			}
		}
		if is.token != "" && is.token != was.token {
			allowed = append(allowed, "another file at "+path)
		}
		// Of the host's files: a place that is a private one can be written, too.
		if at, _ := c.plans[1].at(path); file == "" || at.Is == "overlay" {
			continue
		}
		switch {
		case (added == "read" || added == "hide") && strings.Contains(is.can, "w") &&
			len(c.plans[0].places(file, "writable")) == 0:
			c.complain("an entry of %s makes %s writable, at %s", added, file, path)
		case added == "write" && c.hiddenBy(file):
			c.complain("an entry of write shows %s, which is hidden, at %s", file, path)
		}
	}
	if len(allowed) == 0 {
		return true, false
	}
	r := run(c, call{args: []string{binary("sbx"), "policy", "diff", "--json", c.write(0), c.write(1)}, dir: "/"})
	var diff struct {
		Wider []string `json:"additionally_allows"`
		Other []string `json:"not_comparable"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &diff); err != nil {
		c.Fatalf("%v: %v", err, r)
	}
	if len(diff.Wider)+len(diff.Other) == 0 {
		slices.Sort(allowed)
		c.complain("the second allows %q, and policy diff says\n%s", allowed, r.stdout)
	}
	return true, true
}

// leads says whether the policy names a path by a link of the host's, of which
// policy diff knows nothing.
func (c *treePair) leads(i int) bool {
	return slices.ContainsFunc(c.policies[i].names(), func(p string) bool { return c.real(p) != p })
}

// comes says whether an optional entry has a place under the second policy only:
// under the first it would lie in a directory of the host that has no such name. Of
// that, too, policy diff knows nothing.
func (c *treePair) comes() bool {
	has := func(i int, p string) bool {
		return slices.ContainsFunc(c.plans[i], func(l treeLine) bool { return l.Path == p })
	}
	for _, entries := range c.policies[0].lists {
		for _, s := range entries {
			if name, optional := strings.CutPrefix(s, "?"); optional && has(1, name) && !has(0, name) {
				return true
			}
		}
	}
	return false
}

// union are the paths that either plan is about.
func (c *treePair) union() map[string]bool {
	set := map[string]bool{}
	for i := range c.plans {
		for _, p := range c.paths(i) {
			set[p] = true
		}
	}
	return set
}

// hiddenBy says whether the first policy hides the file by its path.
func (c *treePair) hiddenBy(file string) bool {
	return slices.ContainsFunc(c.policies[0].lists["hide"], func(s string) bool {
		real := c.real(strings.TrimPrefix(s, "?"))
		return real != "" && inside(file, real)
	})
}

// changed is the policy with one change. added is the list that got one more entry,
// if that is the change.
func (c *treePair) changed(p *treePolicy) (q *treePolicy, added string) {
	q = &treePolicy{lists: map[string][]string{}, from: maps.Clone(p.from), still: slices.Clone(p.still),
		files: slices.Clone(p.files)}
	for list, entries := range p.lists {
		q.lists[list] = slices.Clone(entries)
	}
	lists := []string{"write", "read", "hide", "overlay", "tmpfs", "directories"}
	list := lists[c.rand.IntN(3+c.rand.IntN(4))]
	there := slices.Sorted(maps.Keys(c.nodes))
	name := there[c.rand.IntN(len(there))]
	mark := ""
	if c.rand.IntN(3) == 0 {
		mark = "?"
	}
	entries := q.lists[list]
	switch k := c.rand.IntN(10); {
	case k < 6: // one more
		if !p.has(name) {
			q.lists[list], added = append(entries, mark+name), list
		}
	case len(entries) == 0:
	case k == 6: // one less
		n := c.rand.IntN(len(entries))
		gone := strings.TrimPrefix(entries[n], "?")
		q.lists[list] = slices.Delete(entries, n, n+1)
		delete(q.from, gone)
		q.still = slices.DeleteFunc(q.still, func(s string) bool { return s == gone })
	case k == 7: // with the mark, or without
		n := c.rand.IntN(len(entries))
		if bare, marked := strings.CutPrefix(entries[n], "?"); marked {
			entries[n] = bare
		} else {
			entries[n] = "?" + bare
		}
	case k == 8 && len(q.still) > 0:
		q.still = q.still[1:]
	default: // another list
		n, other := c.rand.IntN(len(entries)), lists[c.rand.IntN(3)]
		moved := entries[n]
		if bare := strings.TrimPrefix(moved, "?"); q.from[bare] == "" && !slices.Contains(q.still, bare) {
			q.lists[list] = slices.Delete(entries, n, n+1)
			q.lists[other] = append(q.lists[other], moved)
		}
	}
	return q, added
}
