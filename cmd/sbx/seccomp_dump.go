package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"sbx/policies"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
)

// seccompDumpCmd is "sbx seccomp dump".
type seccompDumpCmd struct {
	Target string `arg:"" complete:"policy" help:"A policy, by name or path with a slash, or a process, by its number."`
	Arch   string `short:"a" complete:"arch" placeholder:"ARCH" help:"Make the policy's filter for such a machine."`
	Filter int    `short:"f" placeholder:"N" help:"Only the Nth filter of a process, counted from 1 as they were loaded."`
	Raw    bool   `help:"Print raw BPF, as bwrap --seccomp and seccomp-tools take it."`
}

// Run prints the filters on standard output.
func (c *seccompDumpCmd) Run() error { return c.run(os.Stdout) }

func (c *seccompDumpCmd) run(w io.Writer) error {
	list, arch, err := c.programs()
	if err != nil {
		return err
	}
	if c.Filter < 0 || c.Filter > len(list) {
		return fmt.Errorf("print filter %d: there are %d", c.Filter, len(list))
	}
	first := 1
	if c.Filter > 0 {
		first, list = c.Filter, list[c.Filter-1:c.Filter]
	}
	if c.Raw {
		if len(list) != 1 {
			return fmt.Errorf("print raw BPF: there are %d filters, choose one by --filter", len(list))
		}
		_, err := w.Write(list[0])
		return err
	}
	for i, p := range list {
		if len(list) > 1 {
			if _, err := fmt.Fprintf(w, "# filter %d\n", first+i); err != nil {
				return err
			}
		}
		code, err := bpf.Decode(p)
		if err != nil {
			return fmt.Errorf("read filter %d: %w", first+i, err)
		}
		if err := bpf.Print(w, code, arch, nil); err != nil {
			return err
		}
	}
	return nil
}

func (c *seccompDumpCmd) programs() ([]seccomp.Program, seccomp.Arch, error) {
	arch := seccomp.Native()
	if pid, err := strconv.ParseUint(c.Target, 10, 31); err == nil {
		if c.Arch != "" {
			return nil, arch, errors.New("a process has its filters for its own architecture: --arch is for policies")
		}
		list, err := bpf.OfProcess(int(pid))
		if err == nil && len(list) == 0 {
			err = fmt.Errorf("print the filters of process %d: it has none", pid)
		}
		return list, arch, err
	}
	arch, err := archFlag(c.Arch)
	if err != nil {
		return nil, arch, err
	}
	p, err := policies.Find(c.Target)
	if err != nil {
		return nil, arch, err
	}
	list, err := programsFor(p, arch)
	return list, arch, err
}
