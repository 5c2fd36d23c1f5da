package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"sbx/internal/text"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
)

// seccompEmulateCmd is "sbx seccomp emulate".
type seccompEmulateCmd struct {
	Policy  string   `arg:"" complete:"policy" help:"Name, or path with a slash."`
	Syscall string   `required:"" complete:"call" short:"s" placeholder:"NAME|NUMBER" help:"The system call."`
	Arg     []string `sep:"none" placeholder:"VALUE" help:"An argument, in order: a number, or constants joined by |."`
	Arch    string   `short:"a" complete:"arch" placeholder:"ARCH" help:"The architecture of the calling program."`
	Trace   bool     `help:"Also print the filter, with the instructions that were gone through."`
	JSON    bool     `help:"Print JSON."`
}

// emulated is the answer.
type emulated struct {
	Policy  string   `json:"policy"`
	Syscall string   `json:"syscall"`
	Arch    string   `json:"arch"`
	Number  uint32   `json:"number"`
	Args    []string `json:"args"`
	Action  string   `json:"action"`
	Why     string   `json:"why"`
	Where   string   `json:"where,omitempty"`
	Steps   int      `json:"instructions"`
	// Filters are what the single filters answer, in the order in which a launch
	// loads them. The strictest answer counts.
	Filters []emulatedFilter `json:"filters"`
	Note    string           `json:"note,omitempty"`
}

// emulatedFilter is the answer of one filter.
type emulatedFilter struct {
	Name   string `json:"name"`
	Why    string `json:"why,omitempty"` // what it is loaded for, if it is not the policy's own
	Action string `json:"action"`
}

// Run prints the answer on standard output.
func (c *seccompEmulateCmd) Run() error { return c.run(os.Stdout) }

func (c *seccompEmulateCmd) run(w io.Writer) error {
	p, err := parsed(c.Policy)
	if err != nil {
		return err
	}
	call, arch, err := c.call()
	if err != nil {
		return err
	}
	// What a foreign program may do is up to the filter of the machine that it
	// runs on.
	native := seccomp.Native()
	if !native.Runs(arch) {
		native = hostOf(arch)
	}
	list, calls, note, err := filtersFor(p, native)
	if err != nil {
		return err
	}
	clause, err := calls.Decide(native, call.Audit, call.Number, call.Args)
	if err != nil {
		return err
	}
	own := emulated{Action: clause.Action.String(), Why: clause.Why.String(), Where: originOf(p, clause.Why)}
	out := emulated{Policy: p.Name, Syscall: callName(arch, call.Number), Arch: arch.String(), Number: call.Number,
		Args: []string{}, Action: own.Action, Why: own.Why, Where: own.Where, Note: note}
	for i := range c.Arg {
		out.Args = append(out.Args, fmt.Sprintf("%#x", call.Args[i]))
	}
	strictest := clause.Action
	for i, f := range list {
		code, err := bpf.Decode(f.Program)
		if err != nil {
			return fmt.Errorf("read filter %d: %w", i+1, err)
		}
		ret, path := bpf.Run(code, call)
		out.Steps += len(path)
		action, known := seccomp.ActionOf(ret)
		switch {
		case f.Why == "" && ret != clause.Action.Return():
			return fmt.Errorf("the filter of policy %s answers %s where the policy says %s: this is a bug of sbx", p.Name,
				bpf.Answer(ret), clause.Action)
		case known && action.Stricter(strictest): // the one that is loaded last decides between equals
			strictest = action
			out.Action, out.Why, out.Where = action.String(), "filter "+text.Quote(f.Name)+": "+f.Why, ""
		}
		out.Filters = append(out.Filters, emulatedFilter{f.Name, f.Why, action.String()})
		if c.Trace && !c.JSON {
			if err := printTrace(w, code, path, native); err != nil {
				return err
			}
		}
	}
	if c.JSON {
		return printJSON(w, out)
	}
	more := ""
	if out.Why != own.Why {
		more = "  the policy's own filter says " + own.Action + " by " + by(own) + "\n"
	}
	if note != "" {
		more += "  " + note + "\n"
	}
	_, err = fmt.Fprintf(w, "%s(%s) on %s, number %d: %s\n  by %s\n%s  after %d instructions\n", out.Syscall,
		strings.Join(out.Args, ", "), out.Arch, out.Number, out.Action, by(out), more, out.Steps)
	return err
}

// printTrace prints a filter, with a mark at the instructions of the path.
func printTrace(w io.Writer, code []bpf.Instruction, path []int, native seccomp.Arch) error {
	taken := map[int]bool{}
	for _, n := range path {
		taken[n] = true
	}
	return bpf.Print(w, code, native, func(n int) string {
		if taken[n] {
			return ">"
		}
		return " "
	})
}

func by(e emulated) string {
	if e.Where == "" {
		return e.Why
	}
	return e.Why + " (" + e.Where + ")"
}

// call reads the command line.
func (c *seccompEmulateCmd) call() (call bpf.Call, arch seccomp.Arch, err error) {
	arch = seccomp.Native()
	if c.Arch != "" {
		if arch, err = seccomp.ParseArch(c.Arch); err != nil {
			return call, arch, err
		}
	}
	call.Audit = arch.Audit()
	if nr, err := strconv.ParseUint(c.Syscall, 0, 32); err == nil {
		call.Number = uint32(nr)
	} else {
		s, err := seccomp.LookupSyscall(c.Syscall)
		if err != nil {
			return call, arch, err
		}
		nr, ok := s.Number(arch)
		if !ok {
			return call, arch, fmt.Errorf("emulate %s: %s has no such system call", s.Name(), arch)
		}
		call.Number = nr
	}
	if len(c.Arg) > len(call.Args) {
		return call, arch, fmt.Errorf("emulate %s: %d arguments, and a system call has %d at most", c.Syscall, len(c.Arg),
			len(call.Args))
	}
	for i, text := range c.Arg {
		if call.Args[i], err = seccomp.ParseValue(text, arch); err != nil {
			return call, arch, fmt.Errorf("argument %d: %w", i, err)
		}
		if !arch.Wide() {
			call.Args[i] = uint64(uint32(call.Args[i]))
		}
	}
	return call, arch, nil
}

// hostOf is the architecture of machines that run programs of a.
func hostOf(a seccomp.Arch) seccomp.Arch {
	switch a {
	case seccomp.I386, seccomp.X32:
		return seccomp.AMD64
	case seccomp.ARM:
		return seccomp.ARM64
	}
	return a
}

func callName(a seccomp.Arch, nr uint32) string {
	if s, ok := seccomp.SyscallByNumber(a, nr); ok {
		return s.Name()
	}
	return fmt.Sprintf("syscall %d", nr)
}

// originOf is the line of a policy file that a reason was written on, or
// empty.
func originOf(p *policy.Policy, r seccomp.Reason) string {
	o, ok := policy.Origin{}, false
	switch {
	case r.List != "":
		o, ok = p.Origin("seccomp."+r.List, r.Entry)
	case r.Rule > 0:
		o, ok = p.RuleOrigin(p.Calls().Rules[r.Rule-1])
	}
	if !ok {
		return ""
	}
	return o.String()
}
