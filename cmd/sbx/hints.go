package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sbx/internal/text"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/ns"
	"sbx/sandbox"
	"sbx/sandbox/cgroup"
	"sbx/sandbox/landlock"
	"sbx/sandbox/process"
	"sbx/sandbox/terminal"
)

// execFailed is the exit status and message of a target that did not start.
func execFailed(x process.Exec, err error) (int, string) {
	name := text.Quote(x.Args[0])
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR):
		return exitNotFound, fmt.Sprintf("run %s: not found in the sandbox", name)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return exitNotExecutable, fmt.Sprintf("run %s: permission denied", name)
	}
	return exitNotExecutable, fmt.Sprintf("run %s: %v", name, err)
}

// execHint looks at the target from outside.
func execHint(x process.Exec, errno error) string {
	for _, p := range x.Paths {
		st, err := os.Stat(p)
		if err != nil {
			continue
		}
		switch {
		case errors.Is(errno, unix.ENOEXEC) && firstBytes(p, 4) == "\x7fELF":
			return "it is a program for another kind of machine, or damaged; see file(1)"
		case errors.Is(errno, unix.ENOEXEC):
			return "a script needs a first line such as #!/bin/sh"
		case errors.Is(errno, unix.E2BIG):
			return "arguments and environment together are larger than the kernel takes; see execve(2)"
		case st.IsDir():
			return text.Quote(p) + " is a directory"
		case st.Mode()&0o111 == 0:
			return "make it executable: chmod +x " + text.Quote(p)
		case errors.Is(errno, unix.ENOENT):
			if line := interpreter(p); line != "" {
				return fmt.Sprintf("its interpreter %s is not in the sandbox; show it with --read", text.Quote(line))
			}
			return fmt.Sprintf("the policy does not show %s; show it with --read %s", text.Quote(p), text.Quote(filepath.Dir(p)))
		}
		return ""
	}
	return ""
}

// interpreter is the program that a script's first line names.
func interpreter(path string) string {
	line, ok := strings.CutPrefix(firstBytes(path, 256), "#!")
	if !ok {
		return ""
	}
	line, _, _ = strings.Cut(line, "\n")
	if f := strings.Fields(line); len(f) > 0 {
		return f[0]
	}
	return ""
}

// firstBytes is the beginning of a file; of one that cannot be read, nothing.
func firstBytes(path string, n int) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, n)
	n, _ = f.Read(head)
	return string(head[:n])
}

// stepHint chooses by the step that failed and its errno.
func stepHint(e *sandbox.StepError) string {
	var mismatch *sandbox.MismatchError
	if errors.As(e.Err, &mismatch) {
		switch e.Step.(type) {
		case ns.Bind, ns.RootBind, ns.Hide, ns.Over, ns.Overlay:
			return "the file was replaced while sbx was starting; try again"
		case ns.Detach:
			return "something is mounted over the root that sbx was started in; enter a root with nothing over it"
		case ns.OpenProc:
			return "something else is mounted at /proc: mount -t proc proc /proc"
		}
		return "this kernel does not do what it says; see sbx --dry-run for the steps"
	}
	is := func(list ...unix.Errno) bool {
		for _, errno := range list {
			if errors.Is(e.Err, errno) {
				return true
			}
		}
		return false
	}
	switch s := e.Step.(type) {
	case process.Exec:
		return execHint(s, e.Err)
	case ns.OpenProc, ns.IDMap, ns.NoUsers:
		if is(unix.ENOENT) {
			return "/proc is not mounted here: mount -t proc proc /proc"
		}
		if is(unix.EROFS) {
			return "/proc is read-only here, as in a container; give it a writable one (docker: --security-opt systempaths=unconfined)"
		}
		if _, ok := s.(ns.IDMap); ok && is(unix.EPERM, unix.EACCES) {
			return userNamespaceHint(unix.EPERM)
		}
	case terminal.Open:
		if is(unix.ENOSPC, unix.EIO) {
			return "all pseudo-terminals are in use: /proc/sys/kernel/pty/max says how many there can be"
		}
		if is(unix.ENOENT, unix.ENXIO) {
			return "the policy hides /dev/pts; terminal = \"new-session\" does without it"
		}
	case ns.Private, ns.Root:
		if is(unix.EPERM, unix.EACCES) {
			return appArmorHint()
		}
		if is(unix.EINVAL) {
			return "inside a chroot the mount tree has no root of its own; start sbx outside, or use pivot_root instead of chroot"
		}
	case ns.Pivot:
		if is(unix.EINVAL, unix.EPERM) {
			return "the root is an initramfs or a chroot here, which pivot_root cannot change; switch to a real root first"
		}
	case ns.Proc:
		if is(unix.EPERM) {
			return "this container's /proc is masked, so the kernel allows no new one (docker: --security-opt systempaths=unconfined)"
		}
	case ns.Bind:
		if is(unix.ELOOP) {
			return "a part of " + text.Quote(s.Dest) + " is a symbolic link inside; name the path that it leads to"
		}
		if is(unix.ENOENT) && s.Below {
			return fmt.Sprintf("%s has no place in the sandbox to be shown at; make it outside first", text.Quote(s.Dest))
		}
	case ns.Tmpfs:
		if is(unix.ENOENT, unix.ENOTDIR, unix.ELOOP) && s.Below {
			return text.Quote(s.Path) + " lies in what is shown of the outside, where nothing is made; make it a directory there first"
		}
	case ns.Over:
		if is(unix.ELOOP) {
			return "a part of " + text.Quote(s.Path) + " is a symbolic link inside; name the path that it leads to"
		}
	case ns.Overlay:
		switch {
		case is(unix.ENODEV):
			return "this kernel has no overlayfs: modprobe overlay, as root"
		case is(unix.EINVAL):
			return "overlayfs takes no such file system, nor what has mounts in it; for users it takes Linux 5.11 (dmesg says more)"
		case is(unix.EBUSY):
			return "another overlay uses its upper or work directory at this moment"
		case is(unix.ELOOP):
			return "one of its directories is, or lies in, another or in a symbolic link; name three apart from each other"
		}
	case ns.Hide:
		if is(unix.ELOOP) {
			return "a part of " + text.Quote(s.Path) + " is a symbolic link; hide the path that it leads to"
		}
	case ns.Loopback:
		if is(unix.EPERM) {
			return "an outer sandbox forbids new networks; use --net host if that is acceptable"
		}
	case landlock.ThereRule:
		if is(unix.ENOENT) {
			return "put a ? in front of a path that may be missing in the joined namespace: \"?" + s.Path + "\""
		}
		if is(unix.ELOOP) {
			return "a part of " + text.Quote(s.Path) + " is a symbolic link in the joined namespace; name the path that it leads to"
		}
	case ns.OwnProc:
		if is(unix.EPERM) {
			return "it takes CAP_SYS_ADMIN in the user namespace that owns the pid namespace, and a /proc that is not masked; join the user namespace too"
		}
	case ns.Ranges:
		return "newuidmap and newgidmap must be set-user-ID root, /etc/subuid and /etc/subgid must give the ranges, and no_new_privs must be off"
	case ns.Join:
		if is(unix.EPERM) {
			return "it takes CAP_SYS_ADMIN in the user namespace that owns it: join that one too (user = \"/path\"), or run sbx as root"
		}
		if is(unix.EINVAL) && s.Namespace == ns.User {
			return "it is the caller's own: say user = \"host\", or \"auto\""
		}
	case ns.Clocks:
		if is(unix.EINVAL) {
			return "time namespaces take Linux 5.6 or newer, built with CONFIG_TIME_NS"
		}
		if is(unix.ERANGE) {
			return "shifted so far a clock would stand before zero or at the end of time"
		}
	case process.Become:
		if is(unix.EINVAL) {
			return "the user namespace has no such uid or gid; its /proc/PID/uid_map and gid_map say which it has"
		}
	case process.Chdir:
		if is(unix.EACCES) {
			return "the target's user may not enter it, with the capabilities that the policy keeps; start elsewhere with --dir"
		}
		return "start elsewhere with --dir, or show the directory with --read"
	case process.Label:
		if s.Module == "AppArmor" && is(unix.ENOENT) {
			return "no profile of that name is loaded: apparmor_parser -r FILE loads one, aa-status lists them"
		}
		if s.Module == "SELinux" && is(unix.EINVAL) {
			return "the loaded policy knows no such context"
		}
		if is(unix.EACCES, unix.EPERM) {
			return s.Module + " does not let sbx's own label change to that one; run sbx unconfined, or allow it the change"
		}
	case landlock.Port:
		return "this kernel's Landlock knows no ports; say net = \"new\" in the policy's [namespaces] in the place of [network]"
	case landlock.Ruleset, landlock.Rule, landlock.Restrict:
		return "say landlock = \"off\" in the policy's [process] to do without this wall"
	case cgroup.Make:
		switch {
		case is(unix.EBUSY):
			return "another process has come into that cgroup, where the launcher must be alone; try again, or give sbx one of its own"
		case is(unix.EAGAIN):
			return "a cgroup above allows no more below it (cgroup.max.descendants, cgroup.max.depth), as that of an outer sbx with limits does"
		}
	case process.DropGroups:
		return "the caller lacks CAP_SETGID, or its user namespace denies setgroups; run sbx as a plain user"
	}
	return errnoHint(e.Err, e.Step)
}

// errnoHint is for errnos that mean the same at every step, and before them.
func errnoHint(err error, s step.Step) string {
	for _, errno := range [...]unix.Errno{unix.ENOSYS, unix.ENOSPC, unix.EMFILE, unix.ENFILE, unix.EAGAIN, unix.ENOMEM, unix.EPERM, unix.EINVAL} {
		if !errors.Is(err, errno) || s == nil && errno != unix.EMFILE && errno != unix.ENFILE {
			continue
		}
		switch errno {
		case unix.ENOSYS:
			return "Linux 5.12 or newer is needed, or an outer sandbox hides the system call (docker: --security-opt seccomp=unconfined)"
		case unix.ENOSPC:
			if sandbox.IsNamespaces(s) {
				return userNamespaceHint(errno)
			}
			return "no more mounts are allowed: raise sysctl fs.mount-max"
		case unix.EMFILE, unix.ENFILE:
			return "raise the limit on open files: ulimit -n"
		case unix.EAGAIN:
			return "raise the limit on processes (ulimit -u) or the cgroup's pids.max"
		case unix.ENOMEM:
			return "the machine or its cgroup is out of memory, or too many seccomp filters are stacked"
		case unix.EPERM, unix.EINVAL:
			if sandbox.IsNamespaces(s) {
				return userNamespaceHint(errno)
			}
			if errno == unix.EPERM {
				return "an outer sandbox forbids it (docker: --security-opt seccomp=unconfined --security-opt apparmor=unconfined)"
			}
		}
	}
	return ""
}

// userNamespaceHint finds out what forbids new namespaces: there are many
// ways, and only the files below tell them apart.
func userNamespaceHint(errno unix.Errno) string {
	number := func(file string) string {
		b, err := os.ReadFile("/proc/sys/" + file)
		if err != nil {
			return ""
		}
		return strings.TrimSpace(string(b))
	}
	switch {
	case number("user/max_user_namespaces") == "0":
		return "user namespaces are switched off: sysctl user.max_user_namespaces=15000"
	case number("kernel/unprivileged_userns_clone") == "0":
		return "Debian forbids users to make namespaces here: sysctl kernel.unprivileged_userns_clone=1"
	case number("kernel/apparmor_restrict_unprivileged_userns") == "1":
		return appArmorHint()
	case errno == unix.ENOSPC:
		return "namespaces are nested too deep, or their number is used up: sysctl user.max_user_namespaces and the other user.max_*"
	case chrooted():
		return "inside a chroot the kernel allows no user namespaces; start sbx outside, or use pivot_root instead of chroot"
	case seccompOn():
		return "an outer seccomp filter forbids namespaces (docker: --security-opt seccomp=unconfined)"
	}
	return "an outer sandbox, a chroot or a security module forbids namespaces"
}

func appArmorHint() string {
	b, err := os.ReadFile("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
	if err == nil && strings.TrimSpace(string(b)) == "1" {
		return "AppArmor keeps user namespaces from users: give sbx a profile with \"userns,\" or sysctl kernel.apparmor_restrict_unprivileged_userns=0"
	}
	return "an outer sandbox or security module forbids mounting (docker: --security-opt apparmor=unconfined --security-opt seccomp=unconfined)"
}

// chrooted says whether the root directory is not the mount namespace's: the
// root's own mount is then not in the list of mounts.
func chrooted() bool {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 4 && f[4] == "/" {
			return false
		}
	}
	return true
}

func seccompOn() bool {
	mode, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0)
	return err == nil && mode == unix.SECCOMP_MODE_FILTER
}
