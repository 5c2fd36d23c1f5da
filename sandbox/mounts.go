package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sbx/internal/text"

	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/internal/step"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/landlock"
)

// devices are bound one by one; all else in /dev is ours.
var devices = [...]string{"null", "zero", "full", "random", "urandom", "tty"}

// numbers are the devices' own, by which they are known: Linux's
// Documentation/admin-guide/devices.txt.
var numbers = [len(devices)]uint64{unix.Mkdev(1, 3), unix.Mkdev(1, 5), unix.Mkdev(1, 7), unix.Mkdev(1, 8), unix.Mkdev(1, 9), unix.Mkdev(5, 0)}

// viewSteps are the view: an empty root, what the policy shows by depth of path,
// /proc and /dev, and covers over what is hidden, after all that could cover
// them again.
func viewSteps(p *policy.Policy, v *view, t Target, h *Host, keep caps.Set) (steps, rules []step.Step, err error) {
	v.steps = []step.Step{ns.Root{Extra: room(p)}}
	if v.tmp = strings.TrimPrefix(p.Limits.Tmp, "?"); v.tmp != "" {
		if _, err := policy.ParseSize(v.tmp); err != nil {
			return nil, nil, fmt.Errorf("bound each tmpfs: %w", err)
		}
	}
	if err := v.collect(p, keep); err != nil {
		return nil, nil, err
	}
	if s := notifySocket(t.Env); strings.HasPrefix(s, "/") {
		f := h.Files[s]
		if f.Mode != unix.S_IFSOCK {
			return nil, nil, fmt.Errorf("show the notify socket %s: no such socket", text.Quote(s))
		}
		v.entries = append(v.entries, entry{path: s, kind: writeKind, src: f})
		v.named = append(v.named, f.Real) // the caller's, for the target
	}
	if policy.NotFalse(p.Files.Dev) {
		if v.names("/") || v.names("/dev") {
			v.entries = slices.DeleteFunc(v.entries, func(e entry) bool { return e.path == "/dev" })
			v.entries = append(v.entries, entry{path: "/dev", kind: tmpfsKind, mode: 0o755})
		}
		for i, d := range devices {
			f := h.Files["/dev/"+d]
			if f.Mode != unix.S_IFCHR || f.Rdev != numbers[i] {
				if d == "tty" && f.Mode == 0 {
					continue // a build machine without terminals
				}
				return nil, nil, fmt.Errorf("show /dev/%s: it is not the character device of that name", d)
			}
			v.entries = append(v.entries, entry{path: "/dev/" + d, kind: writeKind, src: f, device: true})
		}
		// Shared memory can be written, so it is not for a policy by which
		// nothing can.
		if len(p.Files.Tmpfs)+len(p.Files.Write)+len(p.Files.Overlay) > 0 && !v.names("/dev/shm") {
			v.entries = append(v.entries, entry{path: "/dev/shm", kind: tmpfsKind, mode: 0o1777})
		}
	}
	if err := v.build(); err != nil {
		return nil, nil, err
	}
	if v.root {
		// Of the whole outside, the first entry; it brings its own empty root.
		v.steps = v.steps[1:]
	}
	v.steps = slices.Insert(v.steps, 1, step.Step(ns.Covers{Cover: v.cover()}))
	if policy.NotFalse(p.Files.Dev) {
		if err := v.dir("/dev/pts"); err != nil {
			return nil, nil, err
		}
		v.steps = append(v.steps, ns.Devpts{})
		for _, l := range [...][2]string{{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
			{"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"}} {
			v.steps = append(v.steps, ns.Symlink{Target: l[0], Path: "/dev/" + l[1]})
		}
	}
	if policy.NotFalse(p.Files.Proc) {
		if err := v.dir("/proc"); err != nil {
			return nil, nil, err
		}
		nest := policy.IsTrue(p.Process.Nest)
		if proc := h.Files["/proc"]; p.Namespaces.PID == "host" {
			// Of a pid namespace that it does not own nobody mounts a new one.
			if !proc.Dir() {
				return nil, nil, errors.New("show the host's /proc: it is not there")
			}
			v.steps = append(v.steps, ns.Bind{Source: "/proc", Dest: "/proc", Major: proc.Major, Minor: proc.Minor, Ino: proc.Ino, NoExec: true})
		} else {
			v.steps = append(v.steps, ns.Proc{Write: nest})
		}
		for _, m := range h.Masks {
			if nest {
				break // the kernel lets nobody mount a /proc that shows more than this one
			}
			v.steps = append(v.steps, ns.Hide{Path: m.Path, Dir: m.Dir, Below: true, Cover: v.cover()})
		}
	}
	if err := v.hideAll(p); err != nil {
		return nil, nil, err
	}
	v.steps = append(v.steps, ns.Uncover{Cover: v.cover()})
	if err := v.cwd(t.Dir); err != nil {
		return nil, nil, err
	}
	rules = append(v.rules(h.Landlock), v.socketRules(p, t)...)
	if policy.NotFalse(p.Files.Dev) && !v.isCovered("/dev") {
		rules = append(rules, landlock.Rule{ABI: h.Landlock, Path: "/dev", Allow: landlock.Devices})
	}
	return v.steps, rules, nil
}
