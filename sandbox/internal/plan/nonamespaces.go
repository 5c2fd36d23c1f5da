package plan

import (
	"strings"

	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/internal/step"
	"sbx/policy"
	"sbx/sandbox/internal/fallbackfilter"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/process"
	"sbx/sandbox/internal/rootfs"
)

// bareFix is how to do without what takes a namespace.
const bareFix = "take it out of the policy, or run sbx where namespaces are allowed, without --no-namespaces"

// withoutNamespaces is the nsPlan of a launch that makes none.
func withoutNamespaces(p *policy.Policy, h *host.Facts) (nsPlan, error) {
	n := &p.Namespaces
	s := nsPlan{uid: h.UID, gid: h.GID}
	refuse := func(what string) error {
		return &host.NeedError{Reason: host.WrongNamespace, What: what + " without namespaces", Fix: bareFix}
	}
	for _, k := range [...]string{n.User, n.Mount, n.PID, n.Net, n.IPC, n.UTS, n.Cgroup, n.Time} {
		if host.IsPath(k) {
			return s, refuse("join the namespace " + k)
		}
	}
	if len(p.Network.Hosts)+len(p.Network.Listen) > 0 {
		return s, &host.NeedError{
			Reason: host.WrongNamespace,
			What:   "reach single hosts, or be reached by the host's ports, without namespaces",
			Fix: "name TCP ports in their place, which leads to all hosts: connect = [\"443\"] and bind = [\"8080\"] in the " +
				"policy's [network]; or run sbx where namespaces are allowed, without --no-namespaces",
		}
	}
	for _, x := range [...]struct {
		said bool
		what string
	}{
		{n.UID != nil && *n.UID != h.UID || n.GID != nil && *n.GID != h.GID, "be another user"},
		{policy.IsTrue(n.Ranges), "map ranges of ids"},
		{n.Hostname != "", "set a hostname"},
		{n.Time == "new" || n.Monotonic != "" || n.Boottime != "", "shift a clock"},
		{policy.IsTrue(p.Process.Nest), "nest"},
	} {
		if x.said {
			return s, refuse(x.what)
		}
	}
	return s, nil
}

// refuseOldLandlock refuses a kernel whose Landlock cannot hold what nothing else does.
func refuseOldLandlock(p *policy.Policy, h *host.Facts) error {
	switch {
	case p.Process.Landlock == "off":
		return &host.NeedError{
			Reason: host.Conflict,
			What:   "run without namespaces and with landlock = \"off\": nothing would restrict files",
			Fix:    "say landlock = \"require\" in the policy's [process], or take out --no-namespaces",
		}
	case h.LSM.Landlock < landlock.ABIScopes:
		return &host.NeedError{
			Reason: host.NoLandlock,
			What: "run without namespaces: files, ports and signals then need Landlock ABI 6 (Linux 6.12), and this kernel " +
				"has " + rootfs.ABIName(h.LSM.Landlock),
			Fix: "use Linux 6.12 or newer with landlock in the lsm= list, or run sbx where namespaces are allowed",
		}
	}
	return nil
}

// decideBare decides on the files of a launch without namespaces.
func (d *decisions) decideBare(p *policy.Policy, t host.Target, h *host.Facts) (rules []step.Step, err error) {
	if err := refuseOldLandlock(p, h); err != nil {
		return nil, err
	}
	if d.bare, err = rootfs.NewBare(p, t, h, d.keep); err != nil {
		return nil, err
	}
	if (d.bare.Home || d.bare.Tmp) && h.Private.Err != nil {
		return nil, &host.NeedError{
			Reason: host.NotWritable,
			What:   "make a private directory for the target: " + h.Private.Err.Error(),
			Fix:    "set XDG_RUNTIME_DIR to a directory of your own that nobody else can write",
		}
	}
	d.allWritable, d.dir = d.bare.AllWritable(), d.bare.Dir
	d.notes = append(append(d.notes, d.bare.Notes...), d.limits.notes...)
	return d.bare.Rules, nil
}

// decidePrivate decides on the private directory, and on the variables that name it.
func (d *decisions) decidePrivate(t host.Target, h *host.Facts) {
	if !d.bare.Home && !d.bare.Tmp {
		return
	}
	x := &process.Private{Parent: h.Private.Path, FD: h.Private.FD, Links: d.bare.Links}
	set := func(on bool, dir, name string) {
		if !on {
			return
		}
		x.Dirs = append(x.Dirs, dir)
		for _, v := range d.exec.Env {
			if strings.HasPrefix(v, name+"=") && isSet(t.Passed, name) {
				return // a flag says otherwise
			}
		}
		d.exec.Private = append(d.exec.Private, [2]string{name, dir})
	}
	set(d.bare.Home, rootfs.HomeName, "HOME")
	set(d.bare.Tmp, rootfs.TmpName, "TMPDIR")
	d.private = x
}

// setBareEnv has git leave the machine's settings alone, which the policy does not show.
// They are there, and refused, and then git gives up.
func (d *decisions) setBareEnv() {
	const name = "GIT_CONFIG_NOSYSTEM"
	if _, have := host.Lookup(d.exec.Env, name); !have && !d.bare.At("/etc/gitconfig").Kind.FromHost() {
		d.exec.Env = append(d.exec.Env, name+"=1")
	}
}

// bareFilters are the filters that stand for the namespaces of network and IPC.
func (d *decisions) bareFilters(p *policy.Policy, t host.Target, h *host.Facts, flags int) (list []step.Step) {
	if d.bare == nil {
		return nil
	}
	switch {
	case !d.noNet:
	case h.SocketRestriction(p, t) == host.SocketsByFilter:
		list = append(list, fallback(fallbackfilter.NoSockets, flags))
	default:
		list = append(list, fallback(fallbackfilter.NoNetwork, flags))
	}
	if p.Namespaces.IPC != "host" {
		list = append(list, fallback(fallbackfilter.NoIPC, flags))
	}
	return list
}

// bareRunNote is what each run without namespaces says.
func bareRunNote(changes bool) string {
	also := ""
	if changes {
		also = ", and can change modes, owners and times of its user's"
	}
	return "no namespaces are used: Landlock and filters alone restrict the target, which sees names, sizes and " +
		"owners of " +
		"all files" + also + " (sbx --dry-run lists all that is weaker)"
}

// listWeaker lists what is weaker than with namespaces, a line each.
func (d *decisions) listWeaker(p *policy.Policy, h *host.Facts) {
	if d.bare == nil {
		return
	}
	d.note(bareRunNote(d.changes))
	if d.bare.Fixed != "" {
		d.note(d.bare.Fixed)
	}
	add := func(s string) { d.weaker = append(d.weaker, s) }
	add("files: names, sizes, owners, modes and times of all files of the host can be seen (stat); " +
		"Landlock has no right for that in any kernel")
	if d.changes {
		add("files: modes, owners, times and extended attributes of the user's files can be changed, shown or not, since " +
			"Landlock has no right for that in any kernel")
	} else if d.setID.Metadata {
		add("files: modes, owners and times are changed by sbx in the program's place, and extended attributes not at all")
	}
	add("files: the names in a directory that is hidden below a shown one can be listed")
	add("files: mounts are the host's: device files and set-id files in shown directories are not masked, and " +
		"nothing is told if a hidden file is replaced on the host")
	d.weaker = append(d.weaker, d.bare.Weaker...)
	if len(p.Files.Overlay) > 0 {
		add("files: what the policy shows as an overlay is read-only")
	}
	if policy.NotFalse(p.Files.Dev) {
		add("devices: /dev/shm and /dev/pts are not there, so neither is shared memory by name, nor a new terminal")
	}
	if policy.NotFalse(p.Files.Proc) {
		add("processes: of /proc there are some files of the kernel's and those of the program's first process; " +
			"its other processes cannot read their own")
	}
	add("processes: their numbers are the host's, and kill(2) tells which are in use; signals and ptrace are refused " +
		"by Landlock")
	if d.inPlace {
		add("processes: nobody ends what the program leaves running, since sbx itself becomes it")
	} else {
		add("processes: sbx ends what is left running, not the kernel: processes stay if the init and the launcher are " +
			"both killed, or if they multiply faster than they are ended")
	}
	if d.noNet {
		add("network: there are no sockets at all but Unix pairs, and so no loopback of the program's own")
	}
	if p.Namespaces.IPC != "host" {
		add("ipc: there are no System V objects and no message queues, in the place of private ones")
	}
	add("names: host name, cgroup paths and mounts of the host can be read")
	if d.keepsBounding {
		add("capabilities: the bounding set and the securebits stay the caller's, who may not change them; " +
			"with no_new_privs they give nothing")
	}
	add("groups: " + groupsLine(d.dropGroups))
}

func groupsLine(dropped bool) string {
	if dropped {
		return "the supplementary groups are dropped"
	}
	return "the supplementary groups stay, as in a user namespace of one id, and files open to them stay open if a " +
		"rule allows them"
}

// setpcap is CAP_SETPCAP, without which nobody changes the bounding set or securebits.
const setpcap = caps.Set(1) << unix.CAP_SETPCAP

// dropsGroups says whether the supplementary groups can be dropped without namespaces.
func dropsGroups(h *host.Facts) bool {
	const setgid = caps.Set(1) << unix.CAP_SETGID
	return h.Caps.Effective&setgid != 0 && !h.GroupsFixed
}

// shown is the tree of what the target sees of the host, or nil.
func (d *decisions) shown() *rootfs.Tree {
	if d.bare != nil {
		return d.bare.Tree
	}
	return d.tree
}

// noNetwork says that the target has no network for want of sockets, and not by a
// namespace.
func noNetwork(p *policy.Policy) bool {
	return p.Namespaces.None() && (p.Namespaces.Net == "" || p.Namespaces.Net == "new")
}

// Shown is what the target sees of the host, with a root file system of its own or
// without namespaces, or nil.
func (p *Plan) Shown() *rootfs.Tree {
	if p.Bare != nil {
		return p.Bare
	}
	return p.Tree
}
