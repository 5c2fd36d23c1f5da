package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	moby "github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"

	"sbx/policy/oci"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/compile"
)

// contenders lists the filters that are compared, no filter first.
func contenders() ([]contender, error) {
	theirs, err := runc()
	if err != nil {
		return nil, fmt.Errorf("libseccomp: %w", err)
	}
	text, err := marshal(moby.DefaultProfile())
	if err != nil {
		return nil, err
	}
	profile, err := oci.Parse("moby", text)
	if err != nil {
		return nil, err
	}
	same, _, err := profile.Policy(oci.Target{
		Arch:         seccomp.Native(),
		Kernel:       seccomp.Release{Major: 6, Minor: 18},
		Capabilities: lower(dockerCaps()),
	})
	if err != nil {
		return nil, err
	}
	alone := *same
	alone.Architectures = nil
	own := &seccomp.Policy{Allow: []string{"@system-service", "@pkey"}, Deny: []string{"@kernel-surface", "@obsolete"}}
	// What the kernel spends on asking at all, whatever the filter says.
	allow := seccomp.Program{6, 0, 0, 0, 0, 0, 0xff, 0x7f}
	out := []contender{
		{name: "none"}, {"one that allows everything", allow}, {"Docker's default, by libseccomp as runc does", theirs},
	}
	for _, c := range []struct {
		name string
		p    *seccomp.Policy
	}{
		{"the same, by sbx", same}, {"the same, by sbx, one ABI", &alone},
		{"@system-service less the kernel's surface, by sbx", own},
	} {
		list, err := compile.Compile(c.p, seccomp.Native(), nil)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		out = append(out, contender{c.name, list[0]})
	}
	return out, nil
}

func lower(caps []string) []string {
	out := make([]string, len(caps))
	for i, c := range caps {
		out[i] = strings.ToLower(c)
	}
	return out
}

// runc makes Docker's default profile into a program with the calls to
// libseccomp that runc makes; runc then puts some instructions of its own in
// front of that, which are left out here, to its advantage.
func runc() (seccomp.Program, error) {
	caps := dockerCaps()
	for i := range caps {
		caps[i] = "CAP_" + caps[i]
	}
	process := &specs.Process{Capabilities: &specs.LinuxCapabilities{Bounding: caps}}
	p, err := moby.GetDefaultProfile(&specs.Spec{Process: process})
	if err != nil {
		return nil, err
	}
	f, err := libseccomp.NewFilter(libseccomp.ActErrno.SetReturnCode(1))
	if err != nil {
		return nil, err
	}
	defer f.Release()
	for _, a := range p.Architectures {
		arch, err := libseccomp.GetArchFromString(strings.ToLower(strings.TrimPrefix(string(a), "SCMP_ARCH_")))
		if err != nil {
			return nil, err
		}
		if err := f.AddArch(arch); err != nil {
			return nil, err
		}
	}
	if err := f.SetOptimize(2); err != nil {
		return nil, err
	}
	for _, s := range p.Syscalls {
		if err := addRules(f, s); err != nil {
			return nil, err
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	read := make(chan seccomp.Program)
	go func() {
		data, _ := io.ReadAll(r) // what is missing shows when the filter is loaded
		read <- data
	}()
	err = f.ExportBPF(w)
	if e := w.Close(); err == nil {
		err = e
	}
	return <-read, err
}

func addRules(f *libseccomp.ScmpFilter, s specs.LinuxSyscall) error {
	action := libseccomp.ActAllow
	if s.Action == specs.ActErrno {
		code := int16(1)
		if s.ErrnoRet != nil {
			code = int16(*s.ErrnoRet)
		}
		if action = libseccomp.ActErrno.SetReturnCode(code); code == 1 {
			return nil // as the default
		}
	}
	for _, name := range s.Names {
		nr, err := libseccomp.GetSyscallFromName(name)
		if err != nil {
			continue // runc leaves out what libseccomp does not know
		}
		if len(s.Args) == 0 {
			if err := f.AddRule(nr, action); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			continue
		}
		var conds []libseccomp.ScmpCondition
		for _, a := range s.Args {
			values := []uint64{a.Value}
			if a.Op == specs.OpMaskedEqual {
				values = append(values, a.ValueTwo)
			}
			op, ok := comparisons()[a.Op]
			if !ok {
				return fmt.Errorf("%s: comparison %s", name, a.Op)
			}
			c, err := libseccomp.MakeCondition(a.Index, op, values...)
			if err != nil {
				return err
			}
			conds = append(conds, c)
		}
		if err := f.AddRuleConditional(nr, action, conds); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func comparisons() map[specs.LinuxSeccompOperator]libseccomp.ScmpCompareOp {
	return map[specs.LinuxSeccompOperator]libseccomp.ScmpCompareOp{
		specs.OpNotEqual: libseccomp.CompareNotEqual, specs.OpLessThan: libseccomp.CompareLess,
		specs.OpLessEqual: libseccomp.CompareLessOrEqual, specs.OpEqualTo: libseccomp.CompareEqual,
		specs.OpGreaterEqual: libseccomp.CompareGreaterEqual, specs.OpGreaterThan: libseccomp.CompareGreater,
		specs.OpMaskedEqual: libseccomp.CompareMaskedEqual,
	}
}
