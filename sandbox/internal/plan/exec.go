package plan

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/process"
	"sbx/sandbox/internal/rootfs"
)

// execStep lists the paths to try, as execvp(3) does, except that it never looks in the
// current directory or another relative one.
func execStep(t host.Target, env []string) (process.Exec, error) {
	if len(t.Args) == 0 || t.Path == "" {
		return process.Exec{}, host.Refuse(host.Invalid, "run the target: its name is empty")
	}
	for _, list := range [...][]string{{t.Path, t.Dir}, t.Args, env} {
		for _, s := range list {
			if strings.IndexByte(s, 0) >= 0 {
				return process.Exec{}, host.Refuse(host.Invalid, "run the target: a zero byte in %s", text.Quote(s))
			}
		}
	}
	e := process.Exec{Args: t.Args, Env: env}
	if strings.Contains(t.Path, "/") {
		e.Paths = []string{t.Path}
		return e, nil
	}
	search := host.SearchPath
	for _, v := range env {
		if s, ok := strings.CutPrefix(v, "PATH="); ok {
			search = s
		}
	}
	for _, dir := range strings.Split(search, ":") {
		if strings.HasPrefix(dir, "/") {
			e.Paths = append(e.Paths, path.Join(dir, t.Path))
		}
	}
	if len(e.Paths) == 0 {
		return e, host.Refuse(host.Invalid, "run %s: PATH has no absolute directory", text.Quote(t.Path))
	}
	return e, nil
}

// execDescriptor has a program executed that is no file inside: by its descriptor, or
// where the filter denies that by what /proc calls the descriptor.
func (d *decisions) execDescriptor(p *policy.Policy, t host.Target, decoded filters) error {
	if t.FD == 0 {
		return nil
	}
	d.fds = append(d.fds, t.FD)
	slices.Sort(d.fds)
	name := "/proc/self/fd/" + strconv.Itoa(t.FD)
	d.exec.Paths = []string{name}
	switch {
	case decoded.allow(unix.SYS_EXECVEAT, uint64(t.FD), 0, 0, 0, unix.AT_EMPTY_PATH):
		d.exec.FD = t.FD
	case d.tree != nil && !policy.NotFalse(p.Files.Proc):
		return &host.NeedError{
			Reason: host.NothingRuns,
			What:   "run " + text.Quote(t.Args[0]) + ": the policy's filter denies execveat, and its files have no /proc",
			Fix:    "add \"execveat\" to allow in the policy's [seccomp]",
		}
	}
	return nil
}

// view is the root file system as an exec sees it.
type view struct{ tree *rootfs.Tree }

// Look says what is at a path inside.
func (v view) Look(name string) process.Place {
	n := v.tree.At(name)
	switch own := n.Path == name; {
	case n.Kind == rootfs.Hidden:
		return process.Place{Hidden: true}
	case n.Kind.FromHost():
		return process.Place{Host: n.HostPath(name), NoExec: n.NoExec}
	case own && n.Kind == rootfs.Link:
		return process.Place{Link: n.Text}
	default:
		return process.Place{Dir: own || v.tree.HasBelow(name), NoExec: n.NoExec}
	}
}

// descriptors are those that the target gets: systemd's, then the caller's own list.
func descriptors(t host.Target, listen int) ([]int, error) {
	if listen > host.MaxListenFDs {
		return nil, host.Refuse(host.Invalid, "hand over the sockets of LISTEN_FDS: %d are more than %d", listen,
			host.MaxListenFDs)
	}
	fds := slices.Clone(t.KeepFDs)
	for n := 3; n < 3+listen; n++ {
		fds = append(fds, n)
	}
	for i, fd := range t.Given {
		if i > 2 && fd >= 0 {
			fds = append(fds, i)
		}
	}
	slices.Sort(fds)
	fds = slices.Compact(fds)
	if len(fds) > 0 && fds[0] < 3 {
		return nil, host.Refuse(host.Invalid, "keep descriptor %d: 0, 1 and 2 are always kept, others begin at 3", fds[0])
	}
	return fds, nil
}
