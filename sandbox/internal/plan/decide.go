package plan

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/internal/step"
	"sbx/internal/text"
	"sbx/ns"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/gateway"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/process"
	"sbx/sandbox/internal/rootfs"
)

// decisions are all that order needs to know.
type decisions struct {
	setIDDecision
	notify Notify

	name     string
	inPlace  bool // see Plan.InPlace
	ns       nsPlan
	ids      idPlan
	hostname string
	// keep are the target's capabilities, ambient those of them that are in the ambient
	// set, and initCaps the init's.
	keep, ambient, initCaps caps.Set
	lastCap                 int
	limits                  *Limits
	// tree is the root file system, and mounts are its steps. tree is nil without a new
	// mount namespace.
	tree   *rootfs.Tree
	mounts []step.Step
	// bare is the tree of a launch without namespaces, private the directory that is made
	// for it, and weaker what is less than with them. noNet says that sockets are refused.
	bare    *rootfs.Bare
	private *process.Private
	weaker  []string
	noNet   bool
	// changes says that the filters let files' metadata be changed.
	changes  bool
	labels   []step.Step
	landlock []step.Step
	// filters are the policy's, fallback those for what this kernel's Landlock lacks.
	// With listener, that one is loaded in their place.
	filters, fallback []step.Step
	listener          *process.Listener
	explained         []Explained
	unexplained       string
	observed          []uint32
	observesFiles     bool
	learns            bool
	handed            handedPlan
	terminal          terminalPlan
	streams           streamPlan
	// gateway leads out of the sandbox's network, and catch is where it begins; nil for none.
	// taps says that the launcher sees what nothing catches.
	gateway       *gateway.Config
	catch         *gateway.Catch
	taps          bool
	exec          process.Exec
	dir           string
	fds, given    []int
	notMasked     string   // see Plan.NotMasked
	keptBack      []string // variables, see noteIndexes
	stdio         [3]host.Stdio
	openFiles     [2]uint64
	coreMax       uint64
	deathSignal   int
	ignored, mask uint64

	announce, sharesPIDNS, allWritable, dropGroups, noUserNS, noCore, layersByProc, verifySeccomp, keepsBounding bool
	// first says that the target is process 1 of a pid namespace of its own.
	first bool

	notes, remarks []string
	missing        []string // see Plan.Missing
}

// decide refuses what cannot be as the policy says, and makes all choices.
func decide(p *policy.Policy, programs []seccomp.Program, t host.Target, h *host.Facts) (*decisions, error) {
	d := &decisions{
		name: p.Name, hostname: p.Namespaces.Hostname, lastCap: h.Caps.Last,
		openFiles: h.OpenFiles, coreMax: h.CoreMax, ignored: h.Ignored, mask: h.Mask, noCore: p.Limits.Core == "",
		deathSignal: h.DeathSignal, inPlace: executesInPlace(p),
		stdio: h.Stdio, given: t.Given, announce: t.Announce,
	}
	var err error
	if d.ns, err = namespaces(p, h); err != nil {
		return nil, err
	}
	d.ns.manyIDs = policy.IsTrue(p.Namespaces.Ranges) || t.MappedOutside
	if err := d.refuseInPlace(p, t); err != nil {
		return nil, err
	}
	if d.keep, err = keptCaps(p, h, d.ns); err != nil {
		return nil, err
	}
	if policy.IsTrue(p.Process.Ambient) {
		d.ambient = d.keep
	}
	d.initCaps = d.ns.initCaps(h)
	d.noNet = noNetwork(p)
	if d.limits, err = limits(p, t, h, d.ns, d.keep); err != nil {
		return nil, err
	}
	d.missing = append(d.missing, d.limits.missing...)
	if err := refuseCombinations(p, t, h, d); err != nil {
		return nil, err
	}
	if err := d.decideNetwork(p, t, h); err != nil {
		return nil, err
	}
	if err := d.decideTarget(p, t, h); err != nil {
		return nil, err
	}
	rules, err := d.decideFiles(p, t, h)
	if err != nil {
		return nil, err
	}
	if err := d.checkPublished(h); err != nil {
		return nil, err
	}
	if d.exec.Dir = d.dir; d.shown() != nil {
		d.exec.Inside = view{d.shown()}
	}
	decoded, err := decode(programs, p.Name)
	if err != nil {
		return nil, err
	}
	if err := d.execDescriptor(p, t, decoded); err != nil {
		return nil, err
	}
	if d.terminal, err = terminals(p, h, d.tree != nil); err != nil {
		return nil, err
	}
	if d.tree == nil && d.bare == nil {
		d.note(bareNote)
	}
	if d.ns.new&ns.PID == 0 {
		if err := d.sharePIDNS(p, h); err != nil {
			return nil, err
		}
	}
	if d.ids, err = ids(p, t, h, d.ns, d.sharesPIDNS); err != nil {
		return nil, err
	}
	if d.labels, err = labels(p, h); err != nil {
		return nil, err
	}
	if len(d.labels) > 0 || d.inPlace { // in place a join takes it, which no other process opens
		d.ids.openProc()
	}
	if d.streams, err = decideStreams(p, h, d, decoded); err != nil {
		return nil, err
	}
	if d.streams.proc {
		d.ids.openProc()
	}
	d.first = t.First && d.ns.new&ns.PID != 0
	d.layersByProc = (len(p.Files.Overlay) > 0 || t.Review != nil) && !d.ids.hasProc()
	d.dropGroups = d.ns.canDropGroups(h)
	if d.bare != nil {
		d.dropGroups = dropsGroups(h)
		d.keepsBounding = h.Caps.Effective&setpcap == 0
		d.changes = decoded.changeMetadata()
		d.decidePrivate(t, h)
		d.setBareEnv()
	}
	if err := d.refuseService(p, h); err != nil {
		return nil, err
	}
	d.noUserNS = d.ns.new&ns.User != 0 && !policy.IsTrue(p.Process.Nest)
	if err := d.refuseLeftovers(p, h); err != nil {
		return nil, err
	}
	if err := d.refuseMemory(h); err != nil {
		return nil, err
	}
	if err := d.decideHanded(p, t, h); err != nil {
		return nil, err
	}
	if err := d.decideLandlock(p, t, h, rules); err != nil {
		return nil, err
	}
	if err := d.refusePeeling(decoded); err != nil {
		return nil, err
	}
	for _, s := range t.Shown {
		name := policy.ParsePath(s).Name
		f := h.Files[name]
		if f.Missing() && d.tree != nil {
			if e := p.Files.At(name); e.Name == name && e.Kind == policy.KindWrite {
				d.note(text.Quote(name) + " is not there, so it is left out: what is written there is lost, or an error")
			}
		}
		if f.Via != "" {
			d.note(fmt.Sprintf("%s leads through the symbolic link %s to %s", text.Quote(name), text.Quote(f.Via),
				text.Quote(f.Real)))
		}
	}
	d.noteIndexes(p, h)
	d.noteLinks(p, t, h)
	switch at := text.Quote(h.SearchTruncatedAt); {
	case h.SearchTruncatedAt == "":
	case h.SocketRestriction(p, t) == host.SocketsByFilter:
		if policy.IsTrue(p.Files.OwnSockets) {
			d.notMasked = h.SearchTruncatedAt
		}
		d.remarks = append(d.remarks, "programs have no Unix sockets of their own: there are too many files below "+at+
			" to mask all of the host's sockets there")
	default:
		d.lack(missingMasks)
		d.note(fmt.Sprintf("looked for sockets to mask below %s, and stopped at the limit: there are too many files", at))
	}
	d.decideFilters(p, t, h, programs, decoded)
	d.decideListener(p, t, h)
	d.listWeaker(p, h)
	return d, nil
}

// noteLinks says where a link of the caller's own leads that a policy names as what can be
// written, or to show something elsewhere: a program of an earlier run, in another
// project, could have made it. For what is only read at its own name the plan says it.
func (d *decisions) noteLinks(p *policy.Policy, t host.Target, h *host.Facts) {
	say := func(name string) {
		shown := func(s string) bool { return policy.ParsePath(s).Name == name }
		f := h.Files[name]
		if h.UID == 0 && !policy.Within(f.Via, t.Home) {
			return // the system's
		}
		if f.Via != "" && !slices.ContainsFunc(t.Shown, shown) {
			d.note(fmt.Sprintf("the policy's %s leads through the symbolic link %s to %s", text.Quote(name),
				text.Quote(f.Via), text.Quote(f.Real)))
		}
	}
	for _, e := range h.Tree(p).Entries {
		o := e.Options
		if e.Kind == policy.KindWrite || o.From != "" {
			say(e.Source())
		}
		if o.Upper != "" {
			say(o.Upper)
			say(o.Work)
		}
	}
}

func (d *decisions) note(s string) { d.notes = append(d.notes, s) }

// lack says that an optional protection is missing: to programs by its name.
func (d *decisions) lack(name string) { d.missing = append(d.missing, name) }

// refuseCombinations refuses settings that exclude each other, or that this machine does
// not allow together.
func refuseCombinations(p *policy.Policy, t host.Target, h *host.Facts, d *decisions) error {
	if err := refuseReview(p, t, h, d); err != nil {
		return err
	}
	switch nest := policy.IsTrue(p.Process.Nest); {
	case nest && h.UID == 0:
		// A nested sandbox needs a writable /proc. Its /proc/sys is writable for user 0, also
		// in a user namespace that maps it; and user 0 without CAP_SETFCAP cannot map itself
		// (Linux 5.12).
		return &host.NeedError{
			Reason: host.Conflict,
			What:   "nest as root: the target could write to all of /proc/sys",
			Fix:    "run sbx as a user",
		}
	case nest && d.ns.uid == 0 && d.keep&caps.Setfcap == 0:
		return &host.NeedError{
			Reason: host.NoCapability,
			What:   "nest as user 0: without CAP_SETFCAP it cannot map itself into a namespace below (Linux 5.12)",
			Fix:    "say capabilities = [\"setfcap\"] in the policy's [process], or take uid = 0 out of its [namespaces]",
		}
	case policy.IsTrue(p.Seccomp.WaitKillable):
		// The kernel takes SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV only with a
		// listener, and sbx has none yet.
		return &host.NeedError{
			Reason: host.Impossible,
			What:   "load the filter with wait_killable: that needs a listener for notify, which sbx does not have",
			Fix:    "take wait_killable out of the policy's [seccomp]",
		}
	case strings.HasPrefix(t.NotifySocket(), "@") && d.ns.new&ns.Mount == 0:
		// No rule of Landlock and no filter opens one abstract name alone.
		fix := "say mount = \"new\" in the policy's [namespaces], have the manager listen at a path, or "
		if p.Namespaces.None() {
			fix = "run sbx where namespaces are allowed, without --no-namespaces, or "
		}
		return &host.NeedError{
			Reason: host.LeadsOut,
			What: "reach the notify socket " + text.Quote(t.NotifySocket()) +
				": it is abstract, and with it every abstract socket of the host would be open",
			Fix: fix + "take NOTIFY_SOCKET out of the environment: env -u NOTIFY_SOCKET sbx ...",
		}
	}
	return nil
}

// decideTarget decides what is executed, and with which environment and descriptors.
func (d *decisions) decideTarget(p *policy.Policy, t host.Target, h *host.Facts) (err error) {
	listen := t.ListenFDs(p.Process.Env)
	env, own, kept := environment(p, t, listen)
	if _, relayed := t.NotifyPlace(p); relayed {
		d.announce = true // the relay has to know the target
		d.notify = Notify{Address: t.NotifySocket(), FD: -1}
		if f, ok := h.Files[d.notify.Address]; ok && f.Mode == unix.S_IFSOCK {
			d.notify.FD = f.FD
		}
	}
	d.keptBack = kept
	if d.exec, err = execStep(t, env); err != nil {
		return err
	}
	d.exec.OwnPID = own
	for _, f := range h.Handed {
		if err := leadsOut(f); err != nil {
			return err
		}
	}
	d.fds, err = descriptors(t, listen)
	return err
}

// decideFiles makes the root file system, and returns the Landlock rules for files.
func (d *decisions) decideFiles(p *policy.Policy, t host.Target, h *host.Facts) (rules []step.Step, err error) {
	keep := d.keep
	if d.ns.has(ns.User) {
		keep = 0 // those of a user namespace do not apply to other users' files
	}
	if p.Namespaces.None() {
		return d.decideBare(p, t, h)
	}
	if d.ns.new&ns.Mount == 0 {
		d.allWritable = p.Files.At("/").Kind == policy.KindWrite
		d.notes = append(d.notes, d.limits.notes...)
		rules, d.dir, err = rootfs.LandlockOnly(p, t, h, d.ns.joined(ns.Mount), keep)
		return rules, err
	}
	if d.tree, err = rootfs.New(p, t, h, rootfs.Options{UserNS: d.ns.has(ns.User), Keep: keep}); err != nil {
		return nil, err
	}
	if d.mounts, err = d.tree.Steps(); err != nil {
		return nil, err
	}
	d.allWritable, d.dir = d.tree.AllWritable(), d.tree.Dir
	d.notes = slices.Concat(d.tree.Notes, d.limits.notes)
	return d.tree.Rules(), nil
}
