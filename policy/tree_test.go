package policy

import (
	"reflect"
	"testing"
)

// TestAt: what the lists say of a path without a tree is what the tree says.
func TestAt(t *testing.T) {
	found := map[Kind]int{}
	same := func(p *Policy, why string) {
		tree := p.Tree()
		names := []string{"/", "/usr", "/usr/lib/x", "/etc/x", "/etc", "/var/w/l", "/nowhere/at/all", "", ".", "~/w"}
		for _, e := range tree.Entries {
			names = append(names, e.Name, e.Name+"/below")
		}
		for _, name := range names {
			got, want := p.Files.At(name), tree.At(name)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%q: %+v, want %+v\n%s", name, got, want, why)
			}
			if p.Files.Shows(name) != want.Kind.FromHost() {
				t.Errorf("%q is shown: %v\n%s", name, p.Files.Shows(name), why)
			}
			found[want.Kind]++
		}
	}
	random(t, 100, func(_ author, text string, p *Policy) { same(p, text) })
	no := false
	doubled := &Policy{Files: Files{ // what no parsed policy has
		Write: []string{"?/a", "/a", "/b"}, Read: []string{"/b", "?/c", "?/c"}, Overlay: []string{"?/o"},
		Tmpfs:       []string{"/c", "/t"},
		Directories: []string{"/d", "/t"}, Inline: map[string]string{"/f": "x", "/d": "y"},
		Symlinks: map[string]string{"/f": "a", "/l": "b"},
		Paths:    map[string]PathOptions{"/a": {Exec: &no}, "/c": {Size: "1M"}, "/l": {Mode: "0700"}},
	}}
	same(doubled, "doubled entries")
	for k := NoEntry; k <= KindSymlink; k++ {
		if found[k] == 0 {
			t.Errorf("kind %q never came up", k)
		}
	}
}
