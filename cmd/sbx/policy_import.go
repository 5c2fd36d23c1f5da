package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"sbx/internal/text"

	"sbx/policies"
	"sbx/policy"
	"sbx/policy/oci"
	"sbx/policy/seccomp"
	"sbx/policy/systemd"
)

// policyImportCmd is "sbx policy import".
type policyImportCmd struct {
	From   string   `required:"" enum:"oci,docker,systemd" help:"Format: ${enum}."`
	File   string   `arg:"" complete:"path" help:"File to read, or - for standard input."`
	Cap    []string `placeholder:"NAME" help:"Capabilities kept: of an OCI profile the rules for them count."`
	Arch   string   `help:"Architecture of the machine it is for (default: this one)."`
	Kernel string   `placeholder:"X.Y" help:"Release of its kernel (default: this one's)."`
	Output string   `short:"o" complete:"path" placeholder:"FILE" help:"Write to FILE."`
	Lossy  bool     `help:"Exit with 0 even if a policy cannot say all."`
}

// Run writes the policy to standard output or a file, and what it leaves out
// to standard error.
func (c *policyImportCmd) Run() error { return c.run(os.Stdin, os.Stdout, os.Stderr) }

func (c *policyImportCmd) run(stdin io.Reader, w, losses io.Writer) error {
	name, in := c.File, stdin
	if name == "-" {
		name = "standard input"
	} else {
		f, err := openInput(name)
		if err != nil {
			return err
		}
		defer f.Close() // read-only
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, oci.MaxSize+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	native, err := archFlag(c.Arch)
	if err != nil {
		return err
	}
	var p *policy.Policy
	var lost []string
	if c.From == "systemd" {
		p, lost, err = systemd.Import(name, data, native)
	} else {
		p, err = c.profile(name, data, native, losses)
	}
	if err != nil {
		return err
	}
	text := p.Print()
	if _, err := policy.Parse(name, text); err != nil {
		return fmt.Errorf("write %s as a policy: %w", name, err)
	}
	if c.Output == "" || c.Output == "-" {
		_, err = w.Write(text)
	} else {
		err = writeFile(c.Output, text)
	}
	if err != nil {
		return err
	}
	return printLosses(losses, "a policy leaves out ", lost, c.Lossy)
}

// profile reads a container runtime's profile. Notes on what has no effect are
// no losses: other runtimes heed it as little.
func (c *policyImportCmd) profile(name string, data []byte, native seccomp.Arch, notes io.Writer) (*policy.Policy, error) {
	on := oci.Target{Arch: native, Capabilities: []string{}}
	for _, k := range c.Cap {
		on.Capabilities = append(on.Capabilities, strings.TrimPrefix(strings.ToLower(k), "cap_"))
	}
	var err error
	if on.Kernel, err = kernelFlag(c.Kernel); err != nil {
		return nil, err
	}
	profile, err := oci.Parse(name, data)
	if err != nil {
		return nil, err
	}
	s, said, err := profile.Policy(on)
	if err != nil {
		return nil, err
	}
	for _, n := range said {
		if _, err := fmt.Fprintf(notes, "sbx: note: %s\n", text.OneLine(n)); err != nil {
			return nil, err
		}
	}
	slices.Sort(on.Capabilities)
	return &policy.Policy{
		Name: name, Version: 1, Seccomp: *s, Process: policy.Process{Capabilities: on.Capabilities},
		Summary: "Imported from a container runtime's profile, for " + native.String(),
	}, nil
}

// kernelFlag reads a release; "" is that of the running kernel.
func kernelFlag(s string) (seccomp.Release, error) {
	if s == "" {
		return policies.Kernel()
	}
	var r seccomp.Release
	if n, err := fmt.Fscanf(bytes.NewReader([]byte(s)), "%d.%d", &r.Major, &r.Minor); err != nil || n != 2 || r.String() != s {
		return r, &usageError{"read the kernel's release " + fmt.Sprintf("%q", s), "as 6.1"}
	}
	return r, nil
}
