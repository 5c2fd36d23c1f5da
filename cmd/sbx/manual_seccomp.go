package main

import (
	"fmt"
	"slices"
	"strings"

	"sbx/policy/seccomp"
)

const seccompManualHead = `.\" Made by: sbx help man seccomp
.TH SBX-SECCOMP 1
.SH NAME
sbx\-seccomp \- look up system calls; print and try filters
.SH SYNOPSIS
.B sbx seccomp
COMMAND
.SH DESCRIPTION
These commands run nothing.
They say which system calls a policy allows, by which line, and what the filter is that the kernel gets.
.PP
A call is named as in the kernel\(aqs tables, or is a number; a group begins with @.
An argument is a number, or constants joined by |, as O_WRONLY|O_CREAT.
.SH COMMANDS
`

// seccompManual writes sbx-seccomp(1).
func seccompManual(b *strings.Builder) error {
	list, err := describeCommands()
	if err != nil {
		return err
	}
	b.WriteString(seccompManualHead)
	roffCommands(b, slices.DeleteFunc(list, func(c command) bool { return c.words[0] != "seccomp" }))
	b.WriteString(".SH ANSWERS\n")
	for _, a := range []struct{ action, does string }{
		{"allow", "The call is made."},
		{"errno:NAME", "The call is not made, and fails with that errno."},
		{"kill-process", "The process dies of SIGSYS."},
		{"kill-thread", "The thread dies; its process lives on, unless it was the only one."},
		{"trap", "The program gets SIGSYS, which it may handle."},
		{"log", "The call is made, and the kernel's audit log has it."},
		{"notify", "A supervisor decides; without one the call fails with ENOSYS."},
	} {
		fmt.Fprintf(b, ".TP\n\\fB%s\\fR\n%s\n", roff(a.action), roff(a.does))
	}
	b.WriteString(".PP\nOf several answers to one call the stricter one counts.\n.SH GROUPS\n")
	for _, g := range seccomp.Groups() {
		b.WriteString(".TP\n\\fB" + roff(g.Name()) + "\\fR\n")
		names := g.Syscalls()
		if len(names) > 12 {
			fmt.Fprintf(b, "%d calls: %s, ...\n", len(names), roff(strings.Join(names[:12], ", ")))
		} else {
			b.WriteString(roff(strings.Join(names, ", ")) + "\n")
		}
	}
	b.WriteString(".SH EXAMPLES\n")
	for _, line := range []string{
		"sbx seccomp resolve @debug",
		"sbx seccomp emulate web -s socket --arg AF_VSOCK",
		"sbx seccomp dump web",
	} {
		roffExample(b, line)
	}
	b.WriteString(".SH SEE ALSO\n.BR sbx (1),\n.BR sbx\\-policy (5),\n.BR seccomp (2)\n")
	return nil
}
