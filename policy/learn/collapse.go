package learn

import (
	"maps"
	"path"
	"slices"
	"strings"

	"sbx/policy"
)

// few is how many files of a package are listed one by one.
const few = 2

// collapse makes of the files those entries that a person would write: more than a few
// of one package become the directory that they are in.
func (w *wants) collapse(files map[string]By, listed []string) map[string]By {
	groups := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		root := w.root(name)
		groups[root] = append(groups[root], name)
	}
	out := map[string]By{}
	for root, names := range groups {
		all := slices.Clone(names)
		for _, e := range listed {
			if name := policy.ParsePath(e).Name; policy.Within(name, root) {
				all = append(all, name)
			}
		}
		for _, name := range names {
			add(out, w.entry(root, name, all), files[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(out)) {
		if over := overOf(out, name); over != "" {
			add(out, over, out[name])
			delete(out, name)
		}
	}
	return out
}

// overOf is an entry over the one of that name, or "".
func overOf(entries map[string]By, name string) string {
	for up := path.Dir(name); up != "/" && up != "."; up = path.Dir(up) {
		if _, ok := entries[up]; ok {
			return up
		}
	}
	return ""
}

// entry is what to list for a file of the package.
func (w *wants) entry(root, name string, all []string) string {
	if policy.Within(name, w.dir) && w.dir != "" {
		return w.dir
	}
	at := name
	if len(all) > few {
		at = common(all)
		if w.at(at).Kind != Directory {
			at = path.Dir(at)
		}
	}
	// What changes with each run is left to the directory that has it.
	if rest, ok := strings.CutPrefix(at, root+"/"); ok {
		over := root
		for part := range strings.SplitSeq(rest, "/") {
			if changing(part) {
				at = over
				break
			}
			over = path.Join(over, part)
		}
	}
	if !policy.Within(at, root) || w.container(at) || at != name && w.hasSecret(at) {
		return name
	}
	return at
}

// common is the deepest path at or over all.
func common(list []string) string {
	at := list[0]
	for _, name := range list[1:] {
		for !policy.Within(name, at) {
			at = path.Dir(at)
		}
	}
	return at
}
