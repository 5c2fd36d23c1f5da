package seccomp

import (
	"cmp"
	"slices"
	"strings"
)

// GroupsVersion is the release of systemd whose groups ours are, as far as
// systemd has a group of the name. Under version 1 of the policies' vocabulary
// they stay as they are.
const GroupsVersion = 258

// group is a set of calls, named "@...".
type group struct {
	name, help string
	calls      callSet
}

// Group is a named set of system calls. The zero value is none.
type Group struct{ g *group }

// Name begins with "@".
func (g Group) Name() string { return g.g.name }

// Help is one line on what its calls do.
func (g Group) Help() string { return g.g.help }

// Syscalls lists the calls in it and in the groups it contains, sorted.
func (g Group) Syscalls() []string { return g.g.calls.names() }

// Groups lists every group, by name.
func Groups() []Group {
	out := make([]Group, len(groupTable))
	for i := range groupTable {
		out[i] = Group{&groupTable[i]}
	}
	return out
}

// LookupGroup finds a group by its name with the "@". An error is a
// *NameError.
func LookupGroup(name string) (Group, error) {
	i, ok := slices.BinarySearchFunc(groupTable[:], name, func(g group, name string) int {
		return cmp.Compare(g.name, name)
	})
	if !ok {
		return Group{}, unknown("group", name, func(yield func(string) bool) {
			for i := range groupTable {
				if !yield(groupTable[i].name) {
					return
				}
			}
		})
	}
	return Group{&groupTable[i]}, nil
}

// Expand lists the system calls that an entry of Allow, Deny or
// Rule.Syscalls stands for: itself, or those of a @group. An error is a
// *NameError.
func Expand(entry string) ([]string, error) {
	set, err := expand(entry)
	if err != nil {
		return nil, err
	}
	return set.names(), nil
}

func expand(entry string) (set callSet, err error) {
	if strings.HasPrefix(entry, "@") {
		g, err := LookupGroup(entry)
		if err != nil {
			return set, err
		}
		return g.g.calls, nil
	}
	s, err := LookupSyscall(entry)
	if err != nil {
		return set, err
	}
	set.add(s)
	return set, nil
}

func (c *callSet) names() []string {
	out := make([]string, 0, c.size())
	for s := range c.all() {
		out = append(out, s.Name())
	}
	return out
}
