package sandbox

import (
	"fmt"
	"path"
	"strings"

	"sbx/internal/text"

	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/internal/step"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/landlock"
)

// bare are the walls around files without a mount namespace of our own: the
// target sees the tree of the host, or of the namespace it joins, and Landlock
// alone says what it may open there. What cannot be held so is refused.
func bare(p *policy.Policy, t Target, h *Host, s spaces, keep caps.Set) (rules []step.Step, err error) {
	const truncates = 3 // the ABI that knows truncate(2)
	f := p.Files
	for _, x := range [...]struct {
		said       bool
		what, hint string
	}{
		{p.Process.Landlock == "off", "have neither mounts nor Landlock", "say landlock = \"require\" in the policy's [process], or mount = \"new\""},
		{policy.IsTrue(p.Process.Nest), "nest: that goes without Landlock, which is the only wall here", "take nest out of the policy, or say mount = \"new\""},
		{h.Landlock < truncates, fmt.Sprintf("hold files by Landlock alone: it takes ABI %d (Linux 6.2), and this kernel has %s", truncates, abiName(h.Landlock)),
			"say mount = \"new\" in the policy's [namespaces]"},
		{len(f.Tmpfs) > 0, "mount a tmpfs", ""},
		{len(f.Hide) > 0, "hide what is inside of what is shown", ""},
		{len(f.Overlay) > 0, "mount an overlay", ""},
		{len(f.Directories) > 0 || len(f.Inline) > 0 || len(f.Symlinks) > 0, "make files and directories of its own", ""},
		{len(f.Sockets) > 0, "allow single Unix sockets", ""},
		{len(f.Paths) > 0, "hold the options of files.path", ""},
		{p.Process.Terminal == "pty", "give the target a terminal of its own", "say terminal = \"inherit\", or mount = \"new\""},
		{h.socketWall(p, t.Env) == coverWall, "allow single Unix sockets: it takes covers over the others, or Landlock ABI 9",
			"say mount = \"new\", or name no sockets and take NOTIFY_SOCKET out of the environment"},
		{policy.NotFalse(f.Proc), "mask /proc", "say proc = false in the policy's [files]; read = [\"/proc\"] shows all that the namespace has there"},
	} {
		if x.said {
			if x.hint == "" {
				x.hint = "take it out of the policy (base has tmpfs and hide), or say mount = \"new\" in its [namespaces]"
			}
			return nil, &NeedError{What: "use a mount namespace that is not new, and " + x.what, Fix: x.hint}
		}
	}
	there := s.joined(ns.Mount)
	shown := false // the directory to start in
	for _, list := range [...]struct {
		paths []string
		allow landlock.Access
	}{{f.Read, landlock.Read}, {f.Write, landlock.Write}} {
		for _, say := range list.paths {
			name := strings.TrimPrefix(say, "?")
			if there {
				rules = append(rules, landlock.ThereRule{ABI: h.Landlock, Path: name, Allow: list.allow, Optional: name != say})
				shown = shown || policy.Within(t.Dir, name)
				continue
			}
			src := h.Files[name]
			switch {
			case src.Err != nil:
				return nil, fmt.Errorf("look at %s: %w", text.Quote(name), src.Err)
			case src.Mode == 0 && name != say:
				continue
			case src.Mode == 0:
				return nil, &MissingError{name}
			}
			if list.allow == landlock.Write && name == say {
				if err := h.writable(name, src, keep); err != nil {
					return nil, err
				}
			}
			rules = append(rules, landlock.OpenRule{ABI: h.Landlock, Path: src.Real, FD: src.FD, Allow: list.allow, File: !src.Dir()})
			shown = shown || policy.Within(t.Dir, src.Real)
		}
	}
	if policy.NotFalse(f.Dev) {
		for i, d := range devices {
			if there {
				rules = append(rules, landlock.ThereRule{ABI: h.Landlock, Path: "/dev/" + d, Allow: landlock.Devices, Optional: true})
			} else if src := h.Files["/dev/"+d]; src.Mode == unix.S_IFCHR && src.Rdev == numbers[i] {
				rules = append(rules, landlock.OpenRule{ABI: h.Landlock, Path: src.Real, FD: src.FD, Allow: landlock.Devices, File: true})
			}
		}
	}
	if s := notifySocket(t.Env); strings.HasPrefix(s, "/") && !there && h.socketWall(p, t.Env) == landlockWall {
		rules = append(rules, landlock.OpenRule{ABI: h.Landlock, Path: s, FD: h.Files[s].FD, Allow: landlock.Sockets, File: true})
	}
	switch {
	case !path.IsAbs(t.Dir):
		return nil, fmt.Errorf("start in %s: not an absolute path", text.Quote(t.Dir))
	case !shown && t.Dir != "/":
		return nil, &NeedError{What: fmt.Sprintf("start in %s: the policy does not show it", text.Quote(t.Dir)),
			Fix: "show it with --read or --write, or start elsewhere with --dir"}
	}
	return rules, nil
}

// bareNote and sharedNote are what does not hold without a namespace of our
// own; see Plan.Notes.
const (
	bareNote = "the mount namespace is not the sandbox's own: Landlock alone keeps files from being read and written. " +
		"Names, sizes and owners can be seen, and modes, owners, times and extended attributes changed, wherever the target's user may"
	sharedNote = "the pid namespace is not the sandbox's own: the target sees the processes in it, with their arguments, " +
		"and what it leaves running is ended by sbx's init and not by the kernel: processes that multiply faster than they are ended, " +
		"or whose init is killed by somebody, may stay"
	signalNote = "without Landlock the target can also signal the caller's other processes, and sbx's own"
)

// shared refuses what a pid namespace that is not new cannot hold, and notes
// what it does not.
func shared(p *policy.Policy, h *Host, s spaces, plan *Plan) error {
	const signals = 6 // the ABI that scopes them
	switch {
	case policy.IsTrue(p.Process.Nest):
		return &NeedError{What: "nest in a pid namespace that is not new: a sandbox inside needs a /proc of its own", Fix: "say pid = \"new\" in the policy's [namespaces]"}
	case s.joined(ns.PID) && s.new&ns.User != 0:
		// The child has maps to write and can be traced until it has.
		return &NeedError{What: "join a pid namespace with a new user namespace: those inside could take hold of the process while it is set up",
			Fix: "join the user namespace too, or say user = \"host\""}
	case !h.ListsChildren:
		return &NeedError{What: "use a pid namespace that is not new: this kernel does not list a process's children in /proc, so that those left could not be ended",
			Fix: "say pid = \"new\" in the policy's [namespaces]; the kernel needs CONFIG_PROC_CHILDREN"}
	}
	plan.Shared = true
	plan.Notes = append(plan.Notes, sharedNote)
	if p.Process.Landlock == "off" {
		plan.Notes = append(plan.Notes, signalNote)
		return nil
	}
	if h.Landlock < signals {
		return &NeedError{What: fmt.Sprintf("use a pid namespace that is not new: keeping signals inside takes Landlock ABI %d (Linux 6.12), and this kernel has %s", signals, abiName(h.Landlock)),
			Fix: "say pid = \"new\" in the policy's [namespaces]; landlock = \"off\" does without"}
	}
	return nil
}
