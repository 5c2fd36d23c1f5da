package rootfs

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"sbx/caps"
	"sbx/internal/step"
	"sbx/internal/text"
	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/landlock"
)

// LandlockOnly are the rules for files without a new mount namespace. The target sees the
// files of the host, or of the namespace that it joins (joined), and Landlock alone
// restricts what it may open there. What Landlock cannot restrict is refused. keep are the
// target's capabilities, as far as they apply to other users' files. dir is where the
// target starts.
func LandlockOnly(
	p *policy.Policy, t host.Target, h *host.Facts, joined bool, keep caps.Set,
) (rules []step.Step, dir string, err error) {
	if err := refuseMounts(p, t, h); err != nil {
		return nil, "", err
	}
	tree := h.Tree(p)
	if err := refuseNested(tree); err != nil {
		return nil, "", err
	}
	if !joined {
		if err := refuseLinked(tree, h); err != nil {
			return nil, "", err
		}
		if err := refuseWritable(h, tree); err != nil {
			return nil, "", err
		}
	}
	// Whether a rule allows the directory to start in, or something below it.
	shown, below := false, false
	see := func(real string) {
		shown = shown || policy.Within(t.Dir, real)
		below = below || policy.Within(real, t.Dir) && !policy.Within(t.Home, t.Dir)
	}
	for _, kind := range [...]policy.Kind{policy.KindRead, policy.KindWrite} {
		allow := landlock.Read
		if kind == policy.KindWrite {
			allow = landlock.Write
		}
		for _, e := range tree.Entries {
			if e.Kind != kind {
				continue
			}
			if joined {
				rules = append(rules, landlock.JoinedPathRule{
					ABI: h.LSM.Landlock, Path: e.Name, Allow: allow, Optional: e.Optional,
				})
				see(e.Name)
				continue
			}
			src, err := openable(h, tree, e, keep)
			if err != nil {
				return nil, "", err
			}
			if src.Mode != 0 {
				rules = append(rules, landlock.FDRule{
					ABI: h.LSM.Landlock, Path: src.Real, FD: src.FD, Allow: allow, File: !src.Dir(),
				})
				see(src.Real)
			}
		}
	}
	if policy.NotFalse(p.Files.Dev) {
		for i, d := range host.Devices {
			if joined {
				rules = append(rules, landlock.JoinedPathRule{
					ABI: h.LSM.Landlock, Path: "/dev/" + d, Allow: landlock.Devices, Optional: true,
				})
			} else if src := h.Files["/dev/"+d]; src.IsDevice(i) {
				rules = append(rules, landlock.FDRule{
					ABI: h.LSM.Landlock, Path: src.Real, FD: src.FD, Allow: landlock.Devices, File: true,
				})
			}
		}
	}
	if f := h.Files[t.NotifySocket()]; f.Err != nil && !joined {
		return nil, "", fmt.Errorf("allow connecting to the notify socket %s: %w", text.Quote(t.NotifySocket()), f.Err)
	}
	if s := t.NotifySocket(); strings.HasPrefix(s, "/") && !joined && h.SocketRestriction(p, t) == host.SocketsByLandlock {
		rules = append(rules, landlock.FDRule{
			ABI: h.LSM.Landlock, Path: s, FD: h.Files[s].FD, Allow: landlock.Sockets, File: true,
		})
	}
	switch {
	case !path.IsAbs(t.Dir):
		return nil, "", host.Refuse(host.Invalid, "start in %s: not an absolute path", text.Quote(t.Dir))
	case shown || t.Elsewhere == "" && t.Dir == "/":
		return rules, t.Dir, nil
	case t.Elsewhere == "":
		return nil, "", notShown(t.Dir)
	case below, len(t.Relative) > 0:
		return rules, t.Dir, nil
	}
	return rules, t.Elsewhere, nil
}

// openable is the file of an entry; the zero File where it may be missing and is.
// A link in what is shown is not followed, as in a root of the sandbox's own: it
// was made by whoever could write there. One that leads to what is shown anyway
// says nothing new.
func openable(h *host.Facts, tree *policy.Tree, e policy.Entry, keep caps.Set) (host.File, error) {
	src := h.Files[e.Name]
	over := tree.Over(e.Name)
	inside := over.Kind == policy.KindRead && e.Kind == policy.KindRead && tree.At(src.Real).Kind.FromHost()
	switch {
	case errors.Is(src.Err, host.Untrusted) && e.Optional:
		return host.File{}, nil
	case src.Closed && e.Optional && !restricts(tree, e):
		return host.File{}, nil
	case src.Err != nil:
		return src, fmt.Errorf("look at %s: %w", text.Quote(e.Name), src.Err)
	case src.Mode == 0 && e.Optional:
		return src, nil
	case src.Mode == 0:
		return src, &host.MissingError{Path: e.Name, Write: e.Kind == policy.KindWrite}
	case over.Kind.FromHost() && src.Real != path.Join(h.Files[over.Name].Real, strings.TrimPrefix(e.Name,
		over.Name)) && !inside:
		if e.Optional {
			return host.File{}, nil
		}
		return src, &host.NeedError{
			Reason: host.BehindLink,
			What: fmt.Sprintf("show %s: it is a symbolic link in a directory that is shown, to %s",
				text.Quote(e.Name), text.Quote(src.Real)),
			Fix: "name the path that it leads to",
		}
	case e.Kind == policy.KindWrite && !e.Optional:
		return src, writable(h, e.Name, src, keep)
	}
	return src, nil
}

// refuseNested refuses read-only entries inside writable ones: a Landlock rule for a path
// below another adds rights, and takes none away.
func refuseNested(tree *policy.Tree) error {
	for _, e := range tree.Entries {
		if over := tree.Over(e.Name); e.Kind == policy.KindRead && over.Kind == policy.KindWrite {
			return &host.NeedError{
				Reason: host.WrongNamespace,
				What: fmt.Sprintf("keep %s read-only inside %s, which is writable: %s",
					text.Quote(e.Name), text.Quote(over.Name), notNew),
				Fix: "say mount = \"new\" in the policy's [namespaces], or make only directories beside it writable",
			}
		}
	}
	return nil
}

// refuseLinked refuses the same where links lead there: a file that is to be
// read-only by one name and lies in what can be written by another.
func refuseLinked(tree *policy.Tree, h *host.Facts) error {
	for _, e := range tree.Entries {
		for _, w := range tree.Entries {
			a, b := h.Files[e.Name], h.Files[w.Name]
			if e.Kind != policy.KindRead || w.Kind != policy.KindWrite || a.Mode == 0 || b.Mode == 0 ||
				!policy.Within(a.Real, b.Real) {
				continue
			}
			return &host.NeedError{
				Reason: host.WrongNamespace,
				What: fmt.Sprintf("keep %s read-only: it lies in %s, which can be written as %s, and "+notNew,
					text.Quote(e.Name), text.Quote(b.Real), text.Quote(w.Name)),
				Fix: "say mount = \"new\" in the policy's [namespaces], or take one of the two out of it",
			}
		}
	}
	return nil
}

const notNew = "the policy uses a mount namespace that is not new"

// refuseMounts refuses what needs a mount, and what needs Landlock where there is none.
func refuseMounts(p *policy.Policy, t host.Target, h *host.Facts) error {
	const truncates = 3 // the ABI that knows truncate(2)
	f := p.Files
	for _, x := range [...]struct {
		wanted    bool
		what, why string // no why: notNew
		fix       string
		reason    host.Reason // "": WrongNamespace
	}{
		{
			p.Process.Landlock == "off", "restrict files", "Landlock is off, and " + notNew,
			"say landlock = \"require\" in the policy's [process], or mount = \"new\"", host.Conflict,
		},
		{
			policy.IsTrue(p.Process.Nest), "nest", "it works only without Landlock, and " + notNew,
			"take nest out of the policy, or say mount = \"new\"", host.Conflict,
		},
		{
			h.LSM.Landlock < truncates, "restrict files by Landlock alone",
			fmt.Sprintf("that needs ABI %d (Linux 6.2), and this kernel has %s", truncates, ABIName(h.LSM.Landlock)),
			"say mount = \"new\" in the policy's [namespaces]", host.NoLandlock,
		},
		{len(f.Tmpfs) > 0, "mount a tmpfs", "", "", ""},
		{len(f.Hide) > 0, "hide files", "", "", ""},
		{len(f.Guard) > 0, "guard names in what can be written", "", "", ""},
		{len(f.Overlay) > 0, "mount an overlay", "", "", ""},
		{
			len(f.Directories) > 0 || len(f.Inline) > 0 || len(f.Symlinks) > 0,
			"make files and directories of the sandbox's own", "", "", "",
		},
		{len(f.Sockets) > 0, "allow single Unix sockets", "", "", ""},
		{len(f.Devices) > 0, "show single devices", "", "", ""},
		{len(f.Paths) > 0, "apply the options of files.path", "", "", ""},
		{
			p.Process.Terminal == "pty", "give the target a terminal of its own", "",
			"say terminal = \"inherit\", or mount = \"new\"", "",
		},
		{
			h.SocketRestriction(p, t) == host.SocketsByMask, "allow single Unix sockets",
			"that needs Landlock ABI 9 or masks over the others, and " + notNew,
			"say mount = \"new\", or name no sockets and take NOTIFY_SOCKET out of the environment", "",
		},
		{
			policy.NotFalse(f.Proc), "mask files in /proc", "",
			"say proc = false in the policy's [files]; read = [\"/proc\"] shows all that the namespace has there", "",
		},
	} {
		if x.wanted {
			if x.fix == "" {
				x.fix = "take it out of the policy (base has tmpfs and hide), or say mount = \"new\" in its [namespaces]"
			}
			return &host.NeedError{
				Reason: cmp.Or(x.reason, host.WrongNamespace),
				What:   x.what + ": " + cmp.Or(x.why, notNew),
				Fix:    x.fix,
			}
		}
	}
	return nil
}

// ABIName is a version of Landlock, for messages.
func ABIName(abi int) string {
	if abi == 0 {
		return "none"
	}
	return strconv.Itoa(abi)
}
