package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policies"
	"sbx/policy/formats"
	"sbx/policy/seccomp"
)

// errLosses makes the exit status 3 when a format could not say all; what it
// leaves out has been printed.
var errLosses = errors.New("the format cannot say all")

// policyExportCmd is "sbx policy export".
type policyExportCmd struct {
	Policy string `arg:"" complete:"policy" help:"Name, or path with a slash."`
	To     string `required:"" enum:"oci,docker,kubernetes,systemd,bpf,bwrap" help:"Format: ${enum}."`
	Output string `short:"o" complete:"path" placeholder:"FILE" help:"Write to FILE; what it names goes beside it."`
	Arch   string `complete:"arch" help:"Architecture of the machine it is for (default: this one)."`
	Lossy  bool   `help:"Exit with 0 even if the format cannot say all."`
}

// Run writes the export to standard output or a file, and what it leaves out
// to standard error.
func (c *policyExportCmd) Run() error { return c.run(os.Stdout, os.Stderr) }

func (c *policyExportCmd) run(w, losses io.Writer) error {
	native, err := archFlag(c.Arch)
	if err != nil {
		return err
	}
	p, err := policies.Find(c.Policy)
	if err != nil {
		return err
	}
	files, lost, err := formats.Export(p, c.To, native)
	if err != nil {
		return fmt.Errorf("export policy %s: %w", p.Name, err)
	}
	if err := c.write(w, files); err != nil {
		return err
	}
	notes := c.places(files)
	if native == seccomp.Native() {
		// What a launch does beyond that is not in the policy, but for this machine.
		list, _, _, err := filtersFor(p, native)
		if err != nil {
			return err
		}
		notes = append(notes, besides(list)...)
	}
	if err := printNotes(losses, notes); err != nil {
		return err
	}
	return printLosses(losses, c.To+" cannot say ", lost, c.Lossy)
}

// write writes an export: the first file where it was asked to go, those that
// it names beside it, or all one after the other, as YAML has it.
func (c *policyExportCmd) write(w io.Writer, files []formats.File) error {
	if c.Output != "" && c.Output != "-" {
		for i, f := range files {
			name := c.Output
			if i > 0 {
				name = filepath.Join(filepath.Dir(c.Output), f.Name)
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					return err
				}
			}
			if err := writeFile(name, f.Data); err != nil {
				return err
			}
		}
		return nil
	}
	if c.To == "bpf" || c.To == "bwrap" {
		if f, ok := w.(*os.File); ok {
			if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err == nil {
				return &usageError{"write the program to a terminal: it is not text", "sbx policy export " + c.Policy + " --to " +
					c.To + " -o FILE"}
			}
		}
	}
	for i, f := range files {
		if i > 0 {
			if _, err := fmt.Fprintf(w, "---\n# %s\n", f.Name); err != nil {
				return err
			}
		}
		if _, err := w.Write(f.Data); err != nil {
			return err
		}
	}
	return nil
}

// places says where those files are that the first of an export names.
func (c *policyExportCmd) places(files []formats.File) (notes []string) {
	for _, f := range files[1:] {
		goes := "it belongs on each node as /var/lib/kubelet/seccomp/" + f.Name
		if c.Output == "" || c.Output == "-" {
			notes = append(notes, fmt.Sprintf("the profile %s follows on standard output, and -o FILE writes it beside FILE; %s",
				f.Name, goes))
			continue
		}
		notes = append(notes, fmt.Sprintf("the profile is %s; %s", filepath.Join(filepath.Dir(c.Output), f.Name), goes))
	}
	return notes
}

// archFlag reads the architecture of a machine that filters can be made for; ""
// is this one's.
func archFlag(name string) (seccomp.Arch, error) {
	if name == "" {
		return seccomp.Native(), nil
	}
	a, err := seccomp.ParseArch(name)
	switch {
	case err != nil:
		return a, err
	case a == seccomp.X32:
		return a, &usageError{"make a filter for x32: no machine is one, its programs run on amd64",
			`write --arch amd64, and architectures = ["x32"] in the policy`}
	case !a.Compiles():
		return a, fmt.Errorf("no filters can be made for %s", a)
	}
	return a, nil
}

// printLosses lists what got lost, one line each, and says so by its error
// unless that is allowed.
func printLosses(w io.Writer, before string, lost []string, allowed bool) error {
	for _, l := range lost {
		if _, err := fmt.Fprintf(w, "sbx: %s%s\n", before, text.OneLine(l)); err != nil {
			return err
		}
	}
	if len(lost) > 0 && !allowed {
		return errLosses
	}
	return nil
}
