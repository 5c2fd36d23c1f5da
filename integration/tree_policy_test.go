package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// treeNode is a file of a random tree as it was made.
type treeNode struct {
	kind   byte // d, f or l
	target string
	token  string // what a file begins with
}

// randomTree makes directories, files and links below dir, and returns them by
// their paths.
func randomTree(t testing.TB, dir string, r *rand.Rand) map[string]treeNode {
	t.Helper()
	nodes := map[string]treeNode{dir: {kind: 'd'}}
	var fill func(in string, depth int)
	fill = func(in string, depth int) {
		for _, name := range []string{"a", "b", "c", "d"} {
			p := filepath.Join(in, name)
			var err error
			switch k := r.IntN(10); {
			case depth > 0 && k < 2+depth/2 || len(nodes) > 50:
				continue
			case k < 7 && depth < 4:
				err = os.Mkdir(p, 0o755)
				nodes[p] = treeNode{kind: 'd'}
				if err == nil {
					fill(p, depth+1)
				}
			case k < 9:
				n := treeNode{kind: 'f', token: "token " + strings.TrimPrefix(p, dir)}
				err = os.WriteFile(p, []byte(n.token+"\n"), 0o755)
				nodes[p] = n
			default:
				to := strings.Repeat("../", r.IntN(3)) + string("abcd"[r.IntN(4)])
				if r.IntN(2) == 0 {
					to = filepath.Join(dir, string("abcd"[r.IntN(4)]), string("abcd"[r.IntN(4)]))
				}
				err = os.Symlink(to, p)
				nodes[p] = treeNode{kind: 'l', target: to}
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(dir, 0)
	return nodes
}

// treePolicy is a random policy over a tree.
type treePolicy struct {
	lists map[string][]string // write, read, overlay, tmpfs, directories, hide: with marks
	from  map[string]string
	still []string // exec = false
	files []string // files of the policy's own
	host  bool     // mount = "host"
}

func randomPolicy(nodes map[string]treeNode, dir string, r *rand.Rand, host bool) *treePolicy {
	p := &treePolicy{lists: map[string][]string{}, from: map[string]string{}, host: host}
	there := slices.Sorted(maps.Keys(nodes))
	used := map[string]bool{dir: true}
	some := func() string {
		s := there[r.IntN(len(there))]
		if r.IntN(8) == 0 {
			s = filepath.Join(s, string("abcd"[r.IntN(4)]))
		}
		return s
	}
	add := func(list string, most int) {
		for range r.IntN(most + 1) {
			s := some()
			if used[s] && !(s == dir && r.IntN(3) == 0) {
				continue
			}
			used[s] = true
			shown := list == "read" || list == "write" || list == "overlay"
			if !host && shown && r.IntN(8) == 0 {
				p.from[s] = some()
			}
			if !host && shown && r.IntN(8) == 0 {
				p.still = append(p.still, s)
			}
			if r.IntN(5) < 2 {
				s = "?" + s
			}
			p.lists[list] = append(p.lists[list], s)
		}
	}
	add("write", 3)
	add("read", 4)
	if host {
		return p
	}
	add("overlay", 1)
	add("tmpfs", 1)
	add("directories", 1)
	add("hide", 2)
	if s := some(); r.IntN(6) == 0 && !used[s] {
		p.files = append(p.files, s)
	}
	return p
}

// text is the policy as a file.
func (p *treePolicy) text() string {
	var b strings.Builder
	b.WriteString("version = 1\nsummary = \"random\"\nextends = [\"kernel\"]\n")
	if p.host {
		b.WriteString("[namespaces]\nmount = \"host\"\n")
	}
	b.WriteString("[files]\n")
	if p.host {
		b.WriteString("proc = false\n")
	}
	for _, list := range []string{"write", "read", "overlay", "tmpfs", "directories", "hide"} {
		entries := p.lists[list]
		if list == "read" {
			entries = append(slices.Clone(entries), binary("probe"))
		}
		if len(entries) > 0 {
			fmt.Fprintf(&b, "%s = [\"%s\"]\n", list, strings.Join(entries, `", "`))
		}
	}
	for _, f := range p.files {
		fmt.Fprintf(&b, "file.%q = \"own\"\n", f)
	}
	for _, s := range slices.Sorted(maps.Keys(p.from)) {
		if !slices.Contains(p.still, s) {
			fmt.Fprintf(&b, "path.%q = { from = %q }\n", s, p.from[s])
		}
	}
	for _, s := range p.still {
		if from := p.from[s]; from != "" {
			fmt.Fprintf(&b, "path.%q = { from = %q, exec = false }\n", s, from)
		} else {
			fmt.Fprintf(&b, "path.%q = { exec = false }\n", s)
		}
	}
	b.WriteString("[seccomp]\nallow = [\"@known\"]\n[expect]\n")
	return b.String()
}

// names are the paths of the host that the policy means.
func (p *treePolicy) names() (list []string) {
	for _, entries := range p.lists {
		for _, s := range entries {
			s = strings.TrimPrefix(s, "?")
			list = append(list, s)
			if from := p.from[s]; from != "" {
				list = append(list, from)
			}
		}
	}
	return list
}

// writes says whether an entry of write has a directory over the path.
func (p *treePolicy) writes(name string) bool {
	return slices.ContainsFunc(p.lists["write"], func(s string) bool {
		s = strings.TrimPrefix(s, "?")
		return p.from[s] == "" && s != name && inside(name, s)
	})
}

// treeLine is one of sbx --dry-run --tree --json.
type treeLine struct {
	Path, Is, Source string
	NoExec           bool `json:"no_exec"`
}

// treeLines are the paths of the tree inside: all others are what the deepest of
// these over them is.
type treeLines []treeLine

func parseTree(t testing.TB, text string) (lines treeLines) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &lines); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return lines
}

func inside(p, dir string) bool { return p == dir || dir == "/" || strings.HasPrefix(p, dir+"/") }

// at is the line that says what the path is, and the host's path that it shows.
func (l treeLines) at(p string) (best treeLine, source string) {
	for _, x := range l {
		if inside(p, x.Path) && len(x.Path) > len(best.Path) {
			best = x
		}
	}
	if best.host() {
		from := best.Source
		if from == "" {
			from = best.Path
		}
		source = filepath.Join(from, strings.TrimPrefix(p, best.Path))
	}
	return best, source
}

// below are the lines of a directory.
func (l treeLines) below(dir string) (list treeLines) {
	for _, x := range l {
		if inside(x.Path, dir) {
			list = append(list, x)
		}
	}
	return list
}

func (l treeLine) host() bool { return l.Is == "read-only" || l.Is == "writable" || l.Is == "overlay" }

// places are where the host's file is seen inside, as one of the kinds.
func (l treeLines) places(file string, kinds ...string) (list []string) {
	for _, x := range l {
		from := x.Source
		if from == "" {
			from = x.Path
		}
		if slices.Contains(kinds, x.Is) && inside(file, from) {
			place := filepath.Join(x.Path, strings.TrimPrefix(file, from))
			if at, _ := l.at(place); at.Path == x.Path {
				list = append(list, place)
			}
		}
	}
	return list
}

// plain says whether no link, neither of the host nor of the policy, is at the
// path or on the way to it.
func (l treeLines) plain(p string, nodes map[string]treeNode) bool {
	for ; p != "/"; p = filepath.Dir(p) {
		at, source := l.at(p)
		if at.Is == "link" || source != "" && nodes[source].kind == 'l' {
			return false
		}
	}
	return true
}
