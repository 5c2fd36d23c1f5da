package plan

import (
	"golang.org/x/sys/unix"

	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/fallbackfilter"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/process"
	"sbx/sandbox/internal/setid"
)

// setIDDecision is what decideSetID decides.
type setIDDecision struct {
	setID setid.Duty
	// listen is the step that loads the filter that has a listener of its own, or nil.
	listen *process.ListenSetID
	// setIDAsks is the filter that an explained run's listener answers for.
	setIDAsks string
}

// decideSetID keeps set-id files from the host. A filter refuses the bits in every
// call that has them in its arguments, in every role: a file can be handed over by
// descriptor alone. Two things it cannot see.
//
// Directories: GNU chmod, cp -a, tar and others give a directory the set-group-ID bit
// that it has inherited once more. The launcher sets it in their place, and looks
// what kind of file it is.
//
// The mode of openat2(2), which lies in memory: where the target can make no file on
// the host, the call is allowed. For a user it is allowed elsewhere too. A file that it
// makes is empty, and the kernel takes the bits away when a process without CAP_FSETID
// writes to it or makes it longer. So none that has them has anything in it, and at
// the end they are taken from those that are left. Started by root the call is refused:
// root's own tools have CAP_FSETID, and could write to such a file. So it is where nobody looks
// at the end.
func (d *decisions) decideSetID(p *policy.Policy, t host.Target, h *host.Facts, programs filters) {
	if policy.NotFalse(p.Files.SetID) {
		return
	}
	var (
		nest        = policy.IsTrue(p.Process.Nest)
		dirs, known = d.writableDirs(p, h)
		openat2     = len(dirs) == 0 && known || nest || known && h.UID != 0 && !d.inPlace
		chmods      = programs.allow(unix.SYS_FCHMOD, 0, unix.S_ISGID) || programs.allow(unix.SYS_FCHMODAT, 0, 0,
			unix.S_ISGID)
	)
	d.setID.Listens = chmods && d.canListen(p, h)
	explains := t.Explain && d.setID.Listens // one listener for both
	filter := fallbackfilter.SetIDStrict
	switch {
	case d.setID.Listens && !openat2:
		filter = fallbackfilter.SetIDListenStrict
	case d.setID.Listens && len(dirs) > 0 && !explains:
		filter = fallbackfilter.SetIDListenOpen
	case d.setID.Listens:
		filter = fallbackfilter.SetIDListen
	case openat2:
		filter = fallbackfilter.SetID
	}
	if openat2 && len(dirs) > 0 && programs.allow(unix.SYS_OPENAT2) {
		d.setID.Dirs, d.setID.Always = dirs, !d.setID.Listens || explains
	}
	if d.bare != nil && d.keep == 0 && d.setID.Listens && !explains {
		d.setID.Metadata, d.changes = true, false
		filter = map[fallbackfilter.Filter]fallbackfilter.Filter{
			fallbackfilter.SetIDListen:       fallbackfilter.MetadataListen,
			fallbackfilter.SetIDListenStrict: fallbackfilter.MetadataListenStrict,
			fallbackfilter.SetIDListenOpen:   fallbackfilter.MetadataListenOpen,
		}[filter]
	}
	load := fallback(filter, filterFlags(p))
	if explains {
		d.setID.Listens, d.setIDAsks = false, load.Name
	}
	if d.setID.Listens {
		if h.Listener.WaitKillable {
			load.Flags |= unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
		}
		d.listen = &process.ListenSetID{Seccomp: load}
		return
	}
	d.fallback = append(d.fallback, load)
}

// canListen says whether the target's filter can have a listener: there is one for
// all filters of a process, and the launcher must be no more than the target is.
func (d *decisions) canListen(p *policy.Policy, h *host.Facts) bool {
	switch {
	case h.Listener.Err != nil: // an outer sandbox has one
	case d.inPlace: // there is no launcher
	case policy.IsTrue(p.Process.Nest): // an inner sandbox may want one
	case len(d.labels) > 0: // under which the launcher is not
	case d.tree != nil && d.tree.ReadOnlyAll() && !d.handsOverDirs(h):
	default:
		return true
	}
	return false
}

// writableDirs are the directories of the host in which the target can make files. They
// are not known where it is given one by descriptor, or has another's mounts.
func (d *decisions) writableDirs(p *policy.Policy, h *host.Facts) (dirs []setid.Dir, known bool) {
	if d.handsOverDirs(h) || d.ns.joined(ns.Mount) {
		return nil, false
	}
	if d.shown() != nil {
		for _, f := range d.shown().WritableDirs() {
			dirs = append(dirs, setid.Dir{Path: f.Real, FD: f.FD})
		}
		return dirs, true
	}
	for _, e := range h.Tree(p).Entries {
		if f := h.Files[e.Name]; e.Kind == policy.KindWrite && f.Dir() {
			dirs = append(dirs, setid.Dir{Path: f.Real, FD: f.FD})
		}
	}
	return dirs, true
}

// handsOverDirs says whether the target gets a directory, or what may be one, by its
// descriptor.
func (d *decisions) handsOverDirs(h *host.Facts) bool {
	for _, f := range h.Handed {
		if f.Mode == unix.S_IFDIR {
			return true
		}
	}
	return false
}
