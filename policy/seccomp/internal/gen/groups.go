package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// group is a named set of calls and other groups.
type group struct {
	name, help string
	members    []string
}

func readGroups(dir string, calls []*call) ([]*group, error) {
	ls, err := lines(filepath.Join(dir, "groups.txt"))
	if err != nil {
		return nil, err
	}
	known := &group{name: "@known", help: "All known system calls"}
	for _, c := range calls {
		known.members = append(known.members, c.name)
	}
	groups := []*group{known}
	for _, l := range ls {
		if strings.HasPrefix(l, "@") {
			name, help, ok := strings.Cut(l, ": ")
			if !ok {
				return nil, fmt.Errorf("groups.txt: no description in %q", l)
			}
			groups = append(groups, &group{name: name, help: help})
			continue
		}
		g := groups[len(groups)-1]
		g.members = append(g.members, strings.Fields(l)...)
	}
	sort.Slice(groups, func(i, j int) bool { return groups[i].name < groups[j].name })
	for _, g := range groups {
		for _, m := range g.members {
			isGroup := slices.ContainsFunc(groups, func(g *group) bool { return g.name == m })
			isCall := slices.ContainsFunc(calls, func(c *call) bool { return c.name == m })
			if !isGroup && !isCall {
				return nil, fmt.Errorf("groups.txt: %s: unknown member %q", g.name, m)
			}
		}
	}
	return groups, nil
}

func printGroups(groups []*group, calls []*call) string {
	var b strings.Builder
	b.WriteString("// groupTable lists every group, sorted by name; see group.\nvar groupTable = [...]group{\n")
	for _, g := range groups {
		set := make([]uint64, (len(calls)+63)/64)
		g.add(set, groups, calls)
		fmt.Fprintf(&b, "\t{%q, %q, callSet{", g.name, g.help)
		for i, word := range set {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%#x", word)
		}
		b.WriteString("}},\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// add puts the calls of a group, and of the groups in it, into a set: a bit for
// each of calls.
func (g *group) add(set []uint64, groups []*group, calls []*call) {
	for _, m := range g.members {
		if i := slices.IndexFunc(groups, func(g *group) bool { return g.name == m }); i >= 0 {
			groups[i].add(set, groups, calls)
			continue
		}
		i := slices.IndexFunc(calls, func(c *call) bool { return c.name == m })
		set[i/64] |= 1 << (i % 64)
	}
}
