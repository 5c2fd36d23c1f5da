package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/inspect"
	"sbx/internal/text"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/policy/seccomp/bpf"
)

// inspectCmd is "sbx inspect".
type inspectCmd struct {
	Process string `arg:"" help:"A pid, self, or a running sandbox by its policy or command."`
	JSON    bool   `help:"Print JSON."`
}

// Help says what is not seen.
func (c *inspectCmd) Help() string {
	return `Any process, whoever started it. The kernel tells nobody of a Landlock domain, and
seccomp filters only to those with CAP_SYS_ADMIN, for which the process stands still
for a moment. What may not be read is listed.`
}

// inspected is all that is printed.
type inspected struct {
	*inspect.Process
	Instructions []int `json:"seccomp_instructions"` // of each filter, where they may be read
	// Landlock is what can be said of it.
	Landlock string   `json:"landlock"`
	Could    []string `json:"could"`
}

// Run prints what restricts the process.
func (c *inspectCmd) Run() error { return c.run(os.Stdout) }

func (c *inspectCmd) run(w io.Writer) error {
	pid, err := findProcess(c.Process)
	if err != nil {
		return err
	}
	p, err := inspect.Look(pid)
	if err != nil {
		return err
	}
	for _, name := range p.Variables {
		if policy.SecretName(name) {
			p.Secrets = append(p.Secrets, name)
		}
	}
	out := inspected{Process: p, Instructions: []int{}, Landlock: "the kernel does not tell; docs/inspect.md"}
	denies := out.filters()
	out.Could = orEmpty(p.Could(denies))
	if c.JSON {
		return printJSON(w, out)
	}
	return out.print(w)
}

// filters decodes the filters, if that is allowed, and returns what they deny.
func (o *inspected) filters() (denies func(call string) bool) {
	if o.Seccomp != "filter" {
		return nil
	}
	programs, err := bpf.OfProcess(o.PID)
	if err != nil {
		o.Unread = append(o.Unread, "seccomp filters: "+err.Error())
		return nil
	}
	var list [][]bpf.Instruction
	for _, p := range programs {
		code, err := bpf.Decode(p)
		if err != nil {
			o.Unread = append(o.Unread, "a seccomp filter: "+err.Error())
			return nil
		}
		list = append(list, code)
		o.Instructions = append(o.Instructions, len(code))
	}
	native := seccomp.Native()
	return func(name string) bool {
		call, err := seccomp.LookupSyscall(name)
		if err != nil {
			return true
		}
		nr, ok := call.Number(native)
		return !ok || slices.ContainsFunc(list, func(code []bpf.Instruction) bool {
			ret := bpf.Result(code, &bpf.Call{Audit: native.Audit(), Number: nr})
			return ret != unix.SECCOMP_RET_ALLOW && ret&unix.SECCOMP_RET_ACTION_FULL != unix.SECCOMP_RET_LOG
		})
	}
}

// print writes the result for people.
func (o *inspected) print(w io.Writer) error {
	var b strings.Builder
	line := func(key, value string) {
		if value != "" {
			fmt.Fprintf(&b, "  %-14s %s\n", key, text.OneLine(value))
		}
	}
	fmt.Fprintf(&b, "process %d: %s\n", o.PID, text.OneLine(o.Name))
	line("command", strings.Join(o.Command, " "))
	line("user", fmt.Sprint(o.UID))
	what := o.Seccomp
	if o.Filters > 0 {
		what = fmt.Sprintf("%d filters", o.Filters)
	}
	if len(o.Instructions) > 0 {
		what += fmt.Sprintf(", instructions: %s", strings.Trim(fmt.Sprint(o.Instructions), "[]"))
	}
	line("seccomp", what)
	line("no_new_privs", map[bool]string{true: "yes", false: "no"}[o.NoNewPrivs])
	for _, x := range []struct {
		key  string
		list []string
	}{{"effective", o.Effective}, {"permitted", o.Permitted}, {"inheritable", o.Inheritable}, {"bounding", o.Bounding},
		{"ambient", o.Ambient}} {
		line(x.key, capabilitiesText(x.list))
	}
	if o.Securebits != nil {
		line("securebits", fmt.Sprintf("%#x", *o.Securebits))
	}
	var own, ours []string
	for _, n := range o.Namespaces {
		if n.Ours {
			ours = append(ours, n.Kind)
		} else {
			own = append(own, n.Kind)
		}
	}
	line("namespaces", "its own: "+orNone(own)+"; yours: "+orNone(ours))
	line("uid map", strings.Join(o.UIDMap, ", "))
	line("gid map", strings.Join(o.GIDMap, ", "))
	line("Landlock", o.Landlock)
	line("cgroup", o.Cgroup)
	line("limits", strings.Join(slices.Concat(o.Limits, o.Rlimits), ", "))
	var writable []string
	for _, m := range o.Writable {
		writable = append(writable, m.Path+" ("+m.Type+")")
	}
	if n := len(writable); n > 12 {
		writable = append(writable[:12], fmt.Sprintf("and %d more", n-12))
	}
	line("mounts", fmt.Sprintf("%d, writable: %s", o.Mounts, orNone(writable)))
	line("label", o.Label)
	if o.Dumpable != nil {
		line("dumpable", map[bool]string{true: "yes", false: "no"}[*o.Dumpable])
	}
	for _, d := range o.Descriptors {
		line(fmt.Sprintf("descriptor %d", d.FD), d.What+" "+d.Name)
	}
	line("secrets", strings.Join(o.Secrets, ", "))
	for _, s := range o.Unread {
		line("not readable", s)
	}
	b.WriteString("what it could still do, as far as that is seen:\n")
	for _, s := range o.Could {
		b.WriteString("  " + text.OneLine(s) + "\n")
	}
	if len(o.Could) == 0 {
		b.WriteString("  nothing of note\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// capabilitiesText is a set in words.
func capabilitiesText(list []string) string {
	const most = 38
	if len(list) >= most {
		return fmt.Sprintf("all (%d)", len(list))
	}
	return orNone(list)
}

func orNone(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, " ")
}
