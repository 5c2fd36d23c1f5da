package sandbox

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/step"
)

// hide covers what is really at these paths, under each name that it has
// inside, and directories of our own by their names; what lies in a covered
// directory is covered with it.
func (v *view) hide(hidden []Hidden, own []string, cover step.Slot) {
	var list []ns.Hide
	for _, x := range hidden {
		for _, place := range v.places(x.Path) {
			list = append(list, ns.Hide{Path: place, Dir: x.Dir, Below: true, ID: x.ID, Cover: cover})
		}
	}
	for _, name := range own {
		if k, ok := v.made[name]; ok && (k == dirKind || k == tmpfsKind) {
			list = append(list, ns.Hide{Path: name, Dir: true, Cover: cover})
		}
	}
	slices.SortStableFunc(list, func(a, b ns.Hide) int { return cmp.Compare(depth(a.Path), depth(b.Path)) })
	v.covered = make(map[string]bool)
	for _, x := range list {
		if !v.isCovered(x.Path) {
			v.covered[x.Path] = true
			v.steps = append(v.steps, x)
		}
	}
}

// isCovered says whether the path, or a directory over it, is hidden.
func (v *view) isCovered(p string) bool {
	for ; p != "/"; p = path.Dir(p) {
		if v.covered[p] {
			return true
		}
	}
	return false
}

// places are the paths inside by which the outside's real path is reached:
// one for each mount that shows it.
func (v *view) places(real string) []string {
	var list []string
	for _, e := range v.placed {
		if e.kind != readKind && e.kind != writeKind || e.device || !policy.Within(real, e.src.Real) {
			continue
		}
		inside := path.Join(e.path, strings.TrimPrefix(real, e.src.Real))
		if up, _ := v.above(inside); inside == e.path || up == e.path {
			list = append(list, inside)
		}
	}
	return list
}
