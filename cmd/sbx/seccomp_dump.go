package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"sbx/internal/text"
	"sbx/policies"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
	"sbx/sandbox"
)

// seccompDumpCmd is "sbx seccomp dump".
type seccompDumpCmd struct {
	Target string `arg:"" complete:"policy" help:"A policy, by name or path with a slash, or a process, by its number."`
	Arch   string `short:"a" complete:"arch" placeholder:"ARCH" help:"Make the policy's own filter, for such a machine."`
	Filter int    `short:"f" placeholder:"N" help:"Only the Nth filter, counted from 1 as they are loaded."`
	Raw    bool   `help:"Print raw BPF, as bwrap --seccomp and seccomp-tools take it."`
}

// Run prints the filters on standard output.
func (c *seccompDumpCmd) Run() error { return c.run(os.Stdout, os.Stderr) }

func (c *seccompDumpCmd) run(w, notes io.Writer) error {
	list, arch, note, err := c.filters()
	if err != nil {
		return err
	}
	if note != "" {
		if err := printNotes(notes, []string{note}); err != nil {
			return err
		}
	}
	if c.Filter < 0 || c.Filter > len(list) {
		return fmt.Errorf("print filter %d: there are %d", c.Filter, len(list))
	}
	first := 1
	if c.Filter > 0 {
		first, list = c.Filter, list[c.Filter-1:c.Filter]
	}
	if c.Raw {
		return c.raw(w, notes, list)
	}
	for i, f := range list {
		if len(list) > 1 {
			if _, err := fmt.Fprintf(w, "# filter %d%s\n", first+i, title(f)); err != nil {
				return err
			}
		}
		code, err := bpf.Decode(f.Program)
		if err != nil {
			return fmt.Errorf("read filter %d: %w", first+i, err)
		}
		if err := bpf.Print(w, code, arch, nil); err != nil {
			return err
		}
	}
	return nil
}

// title is what is known of a filter besides its program.
func title(f sandbox.Filter) string {
	switch {
	case f.Name == "":
		return ""
	case f.Why == "":
		return ", of policy " + text.Quote(f.Name)
	}
	return ", " + text.Quote(f.Name) + ": " + f.Why
}

// raw prints one filter: of a policy its own, unless another is chosen.
func (c *seccompDumpCmd) raw(w, notes io.Writer, list []sandbox.Filter) error {
	if len(list) > 1 {
		own := slices.DeleteFunc(slices.Clone(list), func(f sandbox.Filter) bool { return f.Why != "" })
		if len(own) != 1 || own[0].Name == "" {
			return fmt.Errorf("print raw BPF: there are %d filters, choose one by --filter", len(list))
		}
		if err := printNotes(notes, besides(list)); err != nil {
			return err
		}
		list = own
	}
	_, err := w.Write(list[0].Program)
	return err
}

// besides says which filters a launch here loads besides the policy's own.
func besides(list []sandbox.Filter) (notes []string) {
	for i, f := range list {
		if f.Why != "" {
			notes = append(notes, fmt.Sprintf("a launch here also loads filter %d%s", i+1, title(f)))
		}
	}
	return notes
}

func (c *seccompDumpCmd) filters() (list []sandbox.Filter, arch seccomp.Arch, note string, err error) {
	arch = seccomp.Native()
	if pid, err := strconv.ParseUint(c.Target, 10, 31); err == nil {
		if c.Arch != "" {
			return nil, arch, "", errors.New("a process has its filters for its own architecture: --arch is for policies")
		}
		programs, err := bpf.OfProcess(int(pid))
		if err == nil && len(programs) == 0 {
			err = fmt.Errorf("print the filters of process %d: it has none", pid)
		}
		for _, p := range programs {
			list = append(list, sandbox.Filter{Program: p})
		}
		return list, arch, "", err
	}
	if arch, err = archFlag(c.Arch); err != nil {
		return nil, arch, "", err
	}
	p, err := policies.Find(c.Target)
	if err != nil {
		return nil, arch, "", err
	}
	if c.Arch == "" {
		list, _, note, err = filtersFor(p, arch)
		return list, arch, note, err
	}
	programs, err := programsFor(p, p.Calls(), arch)
	for _, program := range programs {
		list = append(list, sandbox.Filter{Name: p.Name, Program: program})
	}
	return list, arch, "", err
}
