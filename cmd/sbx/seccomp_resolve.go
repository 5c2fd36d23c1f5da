package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"sbx/policy/seccomp"
)

// seccompResolveCmd is "sbx seccomp resolve".
type seccompResolveCmd struct {
	Names []string `arg:"" name:"name" complete:"calls" help:"Names, numbers or @groups."`
	Arch  string   `short:"a" complete:"arch" placeholder:"ARCH" help:"The architecture, or all (default: this one)."`
	Long  bool     `short:"l" help:"Also print the first release of Linux and the groups."`
	JSON  bool     `help:"Print JSON."`
}

// resolvedCall is one line of the answer.
type resolvedCall struct {
	Name   string   `json:"name"`
	Arch   string   `json:"arch"`
	Number *uint32  `json:"number"` // null: the architecture has not got it
	Since  string   `json:"since"`
	Groups []string `json:"groups"`
}

// Run prints the other half of each name or number, one a line, and to standard
// error whose groups these are.
func (c *seccompResolveCmd) Run() error {
	if err := c.run(os.Stdout); err != nil {
		return err
	}
	return printNotes(os.Stderr, c.notes())
}

// notes says which release of systemd groups follow.
func (c *seccompResolveCmd) notes() []string {
	if !slices.ContainsFunc(c.Names, func(n string) bool { return strings.HasPrefix(n, "@") }) {
		return nil
	}
	return []string{
		fmt.Sprintf("groups that systemd has, too, have the members they have in systemd %d", seccomp.GroupsVersion),
	}
}

func (c *seccompResolveCmd) run(w io.Writer) error {
	arches, err := archesOf(c.Arch)
	if err != nil {
		return err
	}
	found := []resolvedCall{}
	for _, name := range c.Names {
		list, err := resolveCall(name, arches)
		if err != nil {
			return err
		}
		found = append(found, list...)
	}
	if c.JSON {
		return printJSON(w, found)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	short := !c.Long && len(arches) == 1 && len(found) == len(c.Names)
	for i, f := range found {
		line := []string{f.Name, f.Arch, f.number()}
		switch {
		case short && c.Names[i] == f.Name:
			line = []string{f.number()}
		case short:
			line = []string{f.Name}
		case c.Long:
			line = append(line, "Linux "+f.Since, strings.Join(f.Groups, " "))
		}
		fmt.Fprintln(t, strings.Join(line, "\t"))
	}
	return t.Flush()
}

func (f resolvedCall) number() string {
	if f.Number == nil {
		return "-"
	}
	return strconv.FormatUint(uint64(*f.Number), 10)
}

// archesOf reads --arch.
func archesOf(name string) ([]seccomp.Arch, error) {
	switch name {
	case "":
		return []seccomp.Arch{seccomp.Native()}, nil
	case "all":
		return seccomp.Arches(), nil
	}
	a, err := seccomp.ParseArch(name)
	return []seccomp.Arch{a}, err
}

// resolveCall finds a call by name or number, or the calls of a group.
func resolveCall(name string, arches []seccomp.Arch) ([]resolvedCall, error) {
	if nr, err := strconv.ParseUint(name, 0, 32); err == nil {
		return resolveNumber(uint32(nr), arches)
	}
	names, err := seccomp.Expand(name)
	if err != nil {
		return nil, err
	}
	var out []resolvedCall
	for _, n := range names {
		s, err := seccomp.LookupSyscall(n)
		if err != nil {
			return nil, err
		}
		for _, a := range arches {
			f := newResolvedCall(s, a)
			if f.Number == nil && len(names) > 1 {
				continue // a group lists what other architectures have
			}
			if f.Number == nil && len(arches) == 1 {
				return nil, fmt.Errorf("look up %s: %s has no such system call", n, a)
			}
			out = append(out, f)
		}
	}
	return out, nil
}

func resolveNumber(nr uint32, arches []seccomp.Arch) ([]resolvedCall, error) {
	var out []resolvedCall
	for _, a := range arches {
		if s, ok := seccomp.SyscallByNumber(a, nr); ok {
			out = append(out, newResolvedCall(s, a))
		} else if len(arches) == 1 {
			return nil, fmt.Errorf("look up %d: no system call of %s has that number", nr, a)
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("look up %d: no system call has that number", nr)
	}
	return out, nil
}

func newResolvedCall(s seccomp.Syscall, a seccomp.Arch) resolvedCall {
	f := resolvedCall{Name: s.Name(), Arch: a.String(), Since: s.Since().String(), Groups: []string{}}
	if nr, ok := s.Number(a); ok {
		f.Number = &nr
	}
	for _, g := range seccomp.Groups() {
		if slices.Contains(g.Syscalls(), s.Name()) {
			f.Groups = append(f.Groups, g.Name())
		}
	}
	return f
}
