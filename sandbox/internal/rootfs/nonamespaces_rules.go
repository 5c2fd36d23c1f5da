package rootfs

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/landlock"
)

// at is a node or a mask as the rules see it: by its place on the host.
type at struct {
	real   string
	rights landlock.Access
	id     landlock.File
	fd     int // 0: by its path
	dir    bool
	hidden bool
}

const (
	// moves are the rights by which names in a directory change.
	moves = landlock.Write &^ (landlock.Read | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE |
		unix.LANDLOCK_ACCESS_FS_IOCTL_DEV)
	list    = landlock.Access(unix.LANDLOCK_ACCESS_FS_READ_DIR)
	execute = landlock.Access(unix.LANDLOCK_ACCESS_FS_EXECUTE)
)

// makeRules makes the rules from the nodes and masks.
func (b *Bare) makeRules() error {
	r := ruler{abi: b.facts.LSM.Landlock, listed: b.facts.Listed, at: b.places(), root: b.facts.UID == 0}
	for _, x := range r.at {
		if x.rights != 0 {
			r.grant(x.real, x.rights, x.dir, x.fd, x.id)
		}
	}
	if n := len(r.fixed); n > 0 {
		const some = 3
		names := strings.Join(r.fixed[:min(n, some)], ", ")
		if n > some {
			names += fmt.Sprintf(" and %d more", n-some)
		}
		b.Fixed = "nothing can be made, renamed or removed directly in " + names +
			", since something there is hidden or read-only"
		b.Weaker = append(b.Weaker, "files: "+b.Fixed)
	}
	b.Rules = append(b.Rules, r.rules...)
	for _, x := range r.at {
		if x.hidden && x.id.Ino != 0 && r.within(x.real) {
			b.Rules = append(b.Rules, landlock.Hidden{Path: x.real, ID: x.id})
		}
	}
	b.Rules = append(b.Rules, b.bareSocketRules()...)
	if policy.NotFalse(b.policy.Files.Dev) {
		b.deviceRules()
	}
	if policy.NotFalse(b.policy.Files.Proc) && !b.showsProc() {
		self := procSelf[:]
		if b.policy.Namespaces.Net == "host" {
			self = append(slices.Clone(self), "net/", "task/")
		}
		b.Rules = append(b.Rules, landlock.ProcRule{ABI: r.abi, System: procSystem[:], Self: self})
	}
	for _, x := range [...]struct {
		on         bool
		name, path string
	}{{b.Home, HomeName, b.target.Home}, {b.Tmp, TmpName, "/tmp"}} {
		allow := landlock.Write
		if n, _ := b.deepest(x.path); n.NoExec {
			allow &^= execute
		}
		if x.on {
			b.Rules = append(b.Rules, landlock.PrivateRule{ABI: r.abi, Name: x.name, Allow: allow})
		}
	}
	return nil
}

// What of /proc ordinary programs read. Nothing is there of other processes, and what
// the host's network has (net, and task, which has a net too) only with that network.
var (
	procSystem = [...]string{
		"cpuinfo", "meminfo", "stat", "loadavg", "uptime", "version", "filesystems", "vmstat", "swaps", "sys/",
	}
	procSelf = [...]string{
		"stat", "statm", "status", "maps", "smaps", "cmdline", "comm", "environ", "auxv", "limits", "mounts", "mountinfo",
		"cgroup", "fd/", "fdinfo/",
	}
)

// showsProc says whether the policy names /proc itself.
func (b *Bare) showsProc() bool {
	n, ok := b.deepest("/proc")
	return ok && n.Path == "/proc" && n.Kind.FromHost()
}

// places are all nodes and masks, parents first. Of two at one place the stricter counts.
func (b *Bare) places() (all []at) {
	add := func(x at) {
		i := slices.IndexFunc(all, func(y at) bool { return y.real == x.real })
		if i < 0 {
			all = append(all, x)
			return
		}
		all[i].rights &= x.rights
		all[i].hidden = all[i].hidden || x.hidden
	}
	for _, n := range b.nodes {
		id := landlock.File{Major: n.Source.Major, Minor: n.Source.Minor, Ino: n.Source.Ino}
		x := at{real: n.Source.Real, dir: n.Source.Dir(), id: id, fd: n.Source.FD}
		switch {
		case n.Device || n.Kind == Link || n.Kind == Directory || n.Kind == File || n.Kind == Empty:
			continue
		case n.Kind == Tmpfs:
			x = at{real: b.realOf(n.Path), dir: true}
		case b.maskOver(n.Path) != "":
		case n.Kind == Write:
			x.rights = landlock.Write
		default:
			x.rights = landlock.Read
		}
		if n.NoExec {
			x.rights &^= execute
		}
		add(x)
	}
	for _, m := range b.masks {
		id := landlock.File{Major: m.id.Major, Minor: m.id.Minor, Ino: m.id.Ino}
		add(at{real: b.realOf(m.path), dir: m.dir, id: id, hidden: true})
	}
	for _, name := range [...]string{"/proc", "/dev"} {
		if !slices.ContainsFunc(all, func(x at) bool { return x.real == name }) {
			add(at{real: name, dir: true})
		}
	}
	slices.SortStableFunc(all, func(x, y at) int { return byDepth(x.real, y.real) })
	return all
}

// realOf is the host's path without links.
func (b *Bare) realOf(name string) string {
	if f := b.facts.Files[name]; f.Real != "" && f.Err == nil {
		return f.Real
	}
	if n, ok := b.deepest(name); ok && n.Kind.FromHost() && n.Path != name {
		return n.HostPath(name)
	}
	return name
}

// ruler makes rules for places of which some lie in others.
type ruler struct {
	abi    int
	listed map[string][]host.Found
	at     []at
	root   bool // the caller is root
	rules  []step.Step
	fixed  []string // directories in which nothing can be made, quoted
}

// grant makes rules by which the path, and all below it that has no place of its own, has
// these rights. A rule counts for all below it. So where a place below may not have all of
// them, the rule is for what it may have, and what lies beside the way there gets the rest
// by rules of its own.
func (r *ruler) grant(real string, rights landlock.Access, dir bool, fd int, id landlock.File) {
	common := rights
	for _, x := range r.at {
		if x.real != real && policy.Within(x.real, real) {
			allowed := x.rights
			if x.rights&list == 0 {
				allowed |= list // what is in a directory can be seen; see docs/no-namespaces.md
			}
			if rights&^allowed != 0 {
				allowed &^= moves // the next launch would not find it where it was
			}
			common &= allowed
		}
	}
	switch {
	case common == 0:
	case fd > 0:
		r.rules = append(r.rules, landlock.FDRule{ABI: r.abi, Path: real, FD: fd, Allow: common, File: !dir})
	default:
		r.rules = append(r.rules, landlock.FoundRule{ABI: r.abi, Path: real, ID: id, Allow: common, File: !dir})
	}
	if common == rights {
		return
	}
	if rights&unix.LANDLOCK_ACCESS_FS_MAKE_REG != 0 && (real != "/" || r.root) { // no user makes anything in /
		r.fixed = append(r.fixed, text.Quote(real))
	}
	for _, c := range r.listed[real] {
		if !slices.ContainsFunc(r.at, func(x at) bool { return x.real == c.Path }) {
			r.grant(c.Path, rights, c.Dir, 0, landlock.File{Major: c.ID.Major, Minor: c.ID.Minor, Ino: c.ID.Ino})
		}
	}
}

// within says whether the path lies in something that a rule allows.
func (r *ruler) within(real string) bool {
	return slices.ContainsFunc(r.at, func(x at) bool {
		return x.rights != 0 && x.real != real && policy.Within(real,
			x.real)
	})
}

// deviceRules allow the devices that every sandbox has, and those that the policy names.
func (b *Bare) deviceRules() {
	allow := func(f host.File) {
		b.Rules = append(b.Rules, landlock.FDRule{
			ABI: b.facts.LSM.Landlock, Path: f.Real, FD: f.FD, Allow: landlock.Devices, File: !f.Dir(),
		})
	}
	for i, d := range host.Devices {
		if f := b.facts.Files["/dev/"+d]; f.IsDevice(i) {
			allow(f)
		}
	}
	for _, s := range b.policy.Files.Devices {
		if f := b.facts.Files[policy.ParsePath(s).Name]; f.Mode != 0 && f.Err == nil {
			allow(f)
		}
	}
}

// bareSocketRules allow connecting to the sockets that the policy names, where Landlock
// knows sockets.
func (b *Bare) bareSocketRules() (rules []step.Step) {
	if b.facts.SocketRestriction(b.policy, b.target) != host.SocketsByLandlock {
		return nil
	}
	names := slices.Clone(b.policy.Files.Sockets)
	if s := b.target.NotifySocket(); strings.HasPrefix(s, "/") {
		names = append(names, s)
	}
	for _, s := range names {
		if f := b.facts.Files[policy.ParsePath(s).Name]; f.Mode != 0 && f.Err == nil {
			rules = append(rules, landlock.FDRule{
				ABI: b.facts.LSM.Landlock, Path: f.Real, FD: f.FD, Allow: landlock.Sockets, File: !f.Dir(),
			})
		}
	}
	return rules
}
