package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/internal/text"
	"sbx/policy"
	"sbx/policy/explain"
	"sbx/policy/seccomp"
	"sbx/sandbox"
)

// explain prints what the run was denied, as one block, and returns it for the receipt;
// nil if nothing was to be explained.
func (l *launch) explain(plan *sandbox.Plan, exit sandbox.Exit, failed error) *explain.Report {
	keep := plan != nil && policy.IsTrue(plan.Policy.Report.Keep)
	if !l.Explain && !keep {
		return nil
	}
	seen := exit.Explained
	switch {
	case seen != nil:
	case plan != nil && plan.Unexplained != "" && !l.DryRun && failed == nil:
		seen = &explain.Record{Why: plan.Unexplained}
	default:
		return nil
	}
	seen.Limits = exit.Limits
	j := explain.Judge{Policy: plan.Policy, Native: seccomp.Native()}
	// What was found ready does not know its lines. Without them there is less to say.
	if p, err := parsed(l.Policy); err == nil {
		j.Source = p
	}
	j.FirstPort, j.Root, j.NotMasked = firstPort(), os.Geteuid() == 0, plan.NotMasked
	if plan.Shown() != nil {
		for _, line := range plan.Shown().Lines() {
			j.Places = append(j.Places, explain.Place{Path: line.Path, Is: line.Is, NoExec: line.NoExec, To: line.To})
		}
		j.Dir, j.Home, j.Bare = plan.Dir, os.Getenv("HOME"), plan.Bare != nil
		j.Host, j.Socket, j.Device, j.May, j.Mount = onHost, isSocket, isDevice, may, mountOf
		j.Terminal = hasTerminal()
	}
	r, err := j.Report(*seen)
	if err != nil {
		say("error", err.Error())
		return nil
	}
	defer func() {
		if err := keepReport(r); err != nil {
			say("note", "the report is not kept for sbx explain --last: "+err.Error())
		}
	}()
	if !l.Explain {
		return nil
	}
	var b strings.Builder
	for i, line := range r.Lines(l.Verbose) {
		if i == 0 {
			b.WriteString("sbx: explain: ")
		}
		b.WriteString(text.OneLine(line) + "\n")
	}
	if exit.Code() != 0 {
		for _, line := range append(nested(plan.Policy), l.keptBack(plan.Policy)...) {
			b.WriteString("  " + text.OneLine(line) + "\n")
		}
		if len(r.Denials) == 0 && r.Unavailable == "" && !l.ExplainFiles {
			b.WriteString("  files are another thing: --explain-files says which were hidden, missing or read-only\n")
		}
	}
	fmt.Fprint(os.Stderr, b.String()) // in one write
	return r
}

// nested says what mounts take where the policy lets the program make sandboxes of its own,
// whose calls are not watched.
func nested(p *policy.Policy) []string {
	if !policy.IsTrue(p.Process.Nest) || slices.ContainsFunc(p.Process.Capabilities, func(c string) bool {
		return strings.TrimPrefix(c, "?") == "sys_admin"
	}) {
		return nil
	}
	return []string{"with nest = true mount(2) and its like are not watched: they take CAP_SYS_ADMIN, " +
		"which a program has " +
		"in a user namespace that it makes first, as by unshare --user --map-root-user --mount, " +
		"and fail with EPERM before; what fails there, as proc without a pid namespace, " +
		"or a change of the sandbox's own mounts, docs/explain.md lists by error under Mounts inside"}
}

// keptBack says which variables that lead to a socket of the caller's session were not
// handed over. A program without one does not even try to connect.
func (l *launch) keptBack(p *policy.Policy) (lines []string) {
	for _, x := range [...]struct{ name, socket, what string }{
		{"DISPLAY", "/tmp/.X11-unix/X${DISPLAY}", "a program with a window (X11)"},
		{"WAYLAND_DISPLAY", "${XDG_RUNTIME_DIR}/${WAYLAND_DISPLAY}", "a program with a window (Wayland)"},
		{"SSH_AUTH_SOCK", "${SSH_AUTH_SOCK}", "ssh with an agent"},
	} {
		if os.Getenv(x.name) == "" || p.Process.EnvEntry(x.name) != "" {
			continue
		}
		names := policy.Policy{Files: policy.Files{Sockets: []string{"?" + x.socket}}}
		expanded, err := names.Expand(policy.Vars{Home: "/", CWD: "/", RuntimeDir: os.Getenv("XDG_RUNTIME_DIR"),
			SSHAuthSock: os.Getenv("SSH_AUTH_SOCK"), Display: os.Getenv("DISPLAY"),
			WaylandDisplay: os.Getenv("WAYLAND_DISPLAY")})
		if err != nil || len(expanded.Files.Sockets) == 0 {
			continue // it names none of this machine
		}
		if socket := policy.ParsePath(expanded.Files.Sockets[0]).Name; isSocket(socket) {
			lines = append(lines, x.name+" was not handed over; "+x.what+" takes --env "+x.name+" --socket "+
				text.Quote(socket)+"; docs/cookbook.md says what that opens")
		}
	}
	return lines
}

// offer says at a terminal what sbx knows without having looked: that a filter has ended
// the program, or that it has not found another one. Limits that were reached are among the
// notes. A script, whose standard error is no terminal, gets no further line.
func (l *launch) offer(exit sandbox.Exit) {
	if l.Explain || !isTerminal(2) {
		return
	}
	const notFound = 127 // of a shell, or env(1)
	switch {
	case exit.Code() == notFound && !exit.Status.Signaled():
		say("note", "status 127 mostly means that a program was not found inside; "+
			"sbx explain --explain-files, with the same flags, says what was looked for")
	case exit.Status.Signaled() && exit.Status.Signal() == unix.SIGSYS:
		say("note", "the program was ended by SIGSYS, for a system call that the policy denies; "+
			"sbx explain, with the same flags, says which")
	}
}

// firstPort is the first port that takes no capability, in the caller's network.
func firstPort() uint16 {
	const usual = 1024
	text, err := sys.ReadFile("/proc/sys/net/ipv4/ip_unprivileged_port_start")
	n, bad := strconv.ParseUint(strings.TrimSpace(text), 10, 16)
	if err != nil || bad != nil {
		return usual
	}
	return uint16(n)
}

// isSocket says whether there is a Unix socket of that name on the host.
func isSocket(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode()&os.ModeSocket != 0
}

// isDevice says whether there is a device of that name on the host.
func isDevice(name string) bool {
	st, err := os.Stat(name)
	return err == nil && st.Mode()&os.ModeDevice != 0
}

// may says whether the caller could use the path so, by its permissions.
func may(name string, bits uint32) bool {
	return unix.Faccessat2(unix.AT_FDCWD, name, bits, unix.AT_EACCESS) == nil
}

// mountOf is the mount that the path lies in, 0 where the kernel does not say (before Linux
// 5.8), and whether the path is its root.
func mountOf(name string) (id uint64, root bool) {
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, name, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_MNT_ID, &st)
	if err != nil || st.Mask&unix.STATX_MNT_ID == 0 {
		return 0, false
	}
	return st.Mnt_id, st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

// hasTerminal says whether the caller has a controlling terminal.
func hasTerminal() bool {
	fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

// onHost says whether there is something of that name on the host, and what it is called
// there without links.
func onHost(name string) (real string, exists bool) {
	if _, err := os.Lstat(name); err != nil {
		return name, false
	}
	real, err := filepath.EvalSymlinks(name)
	if err != nil {
		return name, true // a link that leads nowhere
	}
	return real, true
}
