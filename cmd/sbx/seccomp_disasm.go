package main

import (
	"fmt"
	"io"
	"os"

	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
	"sbx/policy/seccomp/compile"
)

// seccompDisasmCmd is "sbx seccomp disasm".
type seccompDisasmCmd struct {
	File string `arg:"" complete:"path" help:"The file, or - for standard input."`
	Arch string `short:"a" complete:"arch" placeholder:"ARCH" help:"Name system calls as on ARCH by default."`
}

// Run prints the filter on standard output.
func (c *seccompDisasmCmd) Run() error { return c.run(os.Stdin, os.Stdout) }

func (c *seccompDisasmCmd) run(in io.Reader, w io.Writer) error {
	arch := seccomp.Native()
	if c.Arch != "" {
		var err error
		if arch, err = seccomp.ParseArch(c.Arch); err != nil {
			return err
		}
	}
	if c.File != "-" {
		f, err := openInput(c.File)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	const most = 8 * compile.MaxInstructions
	data, err := io.ReadAll(io.LimitReader(in, most+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", c.File, err)
	}
	code, err := bpf.Decode(data)
	if err != nil {
		return fmt.Errorf("read %s: %w", c.File, err)
	}
	return bpf.Print(w, code, arch, nil)
}
