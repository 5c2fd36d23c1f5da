package plan

import (
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/ns"
	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/process"
)

// streamPlan is how the metadata of the caller's files is kept from the target,
// which has descriptors of them.
type streamPlan struct {
	// reopen are the steps for those that can be used on a read-only mount, and
	// proc says that one of them goes by /proc.
	reopen []step.Step
	proc   bool
	// restore are the janitor's, for the others.
	restore []step.Step
}

// decideStreams decides it for each descriptor that crosses. Pipes, sockets and
// files without a name are nobody else's.
func decideStreams(p *policy.Policy, h *host.Facts, d *decisions, asked filters) (s streamPlan, err error) {
	all := append(append(make([]host.Stdio, 0, len(h.Stdio)+len(h.Kept)), h.Stdio[:]...), h.Kept...)
	at := map[int]int{} // of the first descriptor of an open file, in s.reopen
	changes := asked.changeMetadata()
	seeks := 0
	for _, x := range all {
		if !x.OnHost || d.terminal.pty != nil && x.FD < 3 && d.terminal.pty.Streams[x.FD] {
			continue // the target does not get it
		}
		if i, ok := at[x.Same]; ok {
			r := s.reopen[i].(ns.Reopen)
			r.FDs = append(r.FDs, x.FD)
			s.reopen[i] = r
			continue
		}
		r, ok := d.reopen(h, x)
		switch {
		case ok:
			at[x.Same] = len(s.reopen)
			s.proc = s.proc || !r.Inside && !r.Named && !r.Directory
			if err := d.refuseOffset(x); err != nil {
				return s, err
			}
			if x.Seeks {
				if seeks >= step.MaxStreams {
					return s, tooMany(x.As)
				}
				r.Seek, r.From, r.Index = true, x.Offset, seeks
				seeks++
			}
			s.reopen = append(s.reopen, r)
		case x.Mode == unix.S_IFDIR && d.tree != nil:
			return s, &host.NeedError{
				Reason: host.LeadsOut,
				What: fmt.Sprintf("hand over descriptor %d: it is a directory of the host that cannot be had once more, "+
					"with nothing above it and read-only", x.FD),
				Fix: "show it by a path: path.\"/mnt/x\".from = \"fd:" + strconv.Itoa(x.FD) + "\" in the policy's [files]",
			}
		case x.Mode == unix.S_IFDIR: // with the host's mounts there is nothing to keep
		case changes && x.Metadata.FD != 0 && d.mayChange(h, x):
			if d.inPlace {
				return s, refuseStream(x, "the program could change the mode, owner and times of the file there, and "+
					"nobody stays who could restore them", ", deny what does it (chmod, chown, utimensat, setxattr and the like) in "+
					"the policy's [seccomp]")
			}
			if len(s.restore) >= step.MaxStreams {
				return s, tooMany(x.As)
			}
			s.restore = append(s.restore, process.RestoreMetadata{Stream: x.As, Index: len(s.restore), Metadata: metadata(x)})
		}
	}
	return s, nil
}

func tooMany(fd int) error {
	return host.Refuse(host.Impossible, "hand over descriptor %d: more than %d files cannot be kept as they are", fd,
		step.MaxStreams)
}

// reopen is the step for a descriptor that can be had once more on a read-only
// mount.
func (d *decisions) reopen(h *host.Facts, x host.Stdio) (ns.Reopen, bool) {
	f := x.Source
	if d.tree == nil || f.Mode == 0 {
		return ns.Reopen{}, false // only a mount namespace of the sandbox's own has such a mount
	}
	const tty = 5 << 8 // /dev/tty is the terminal of who opens it
	if x.Rdev == tty && x.Mode == unix.S_IFCHR && d.terminal.ownSession {
		return ns.Reopen{}, false
	}
	r := ns.Reopen{FDs: []int{x.FD}, Path: f.Real, ID: x.ID, Flags: x.OpenFlags(), Number: f.FD,
		Named: x.Mode == unix.S_IFREG, Directory: x.Mode == unix.S_IFDIR}
	if d.tree.IsDevice(f.Real, x.ID) {
		r.Inside = true
		return r, true
	}
	// The child is to have the rights by which the launcher could open it: not
	// so as another user, nor without the caller's groups or powers.
	owner := int(x.Metadata.UID) == h.UID
	switch {
	case d.ns.joined(ns.User), d.ns.new&ns.User != 0 && !owner && (h.UID == 0 || d.ns.manyIDs):
		return r, false
	}
	return r, true
}

// mayChange says whether the target could change the metadata of what a
// descriptor is open to: as its owner, as root, as one of other ids, or because
// whoever may write to a file may set attributes and times.
func (d *decisions) mayChange(h *host.Facts, x host.Stdio) bool {
	return int(x.Metadata.UID) == h.UID || h.UID == 0 || d.ns.manyIDs || d.ns.joined(ns.User) ||
		x.Write && x.Mode == unix.S_IFREG
}

func metadata(x host.Stdio) step.Metadata {
	m := step.Metadata{
		FD: x.Metadata.FD, Dev: unix.Mkdev(x.ID.Major, x.ID.Minor), Ino: x.ID.Ino,
		Perm: x.Metadata.Perm, UID: x.Metadata.UID, GID: x.Metadata.GID,
		Atime: x.Metadata.Atime, Mtime: x.Metadata.Mtime, Listed: x.Metadata.Listed,
	}
	for _, a := range x.Metadata.Attributes {
		m.Attributes = append(m.Attributes, [2]string{a.Name, a.Value})
	}
	return m
}

// metadataCalls are the system calls that change a file's mode, owner, times or
// attributes, by any name of the file.
var metadataCalls = [...]string{
	"chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat", "utime", "utimes",
	"futimesat", "utimensat",
	"setxattr", "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr", "fremovexattr",
	"removexattrat", "file_setattr",
}

// changeMetadata says whether the filters let anybody change the metadata of a
// file. A filter cannot tell files apart, so all calls count.
func (f filters) changeMetadata() bool {
	arch := seccomp.Native()
	for _, name := range metadataCalls {
		call, err := seccomp.LookupSyscall(name)
		if err != nil {
			panic("plan: " + err.Error()) // a test asks for each
		}
		if nr, ok := call.Number(arch); ok && f.allow(nr) {
			return true
		}
	}
	return false
}
