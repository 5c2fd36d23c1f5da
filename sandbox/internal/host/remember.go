package host

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"path"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/cache"
	"sbx/ns"
	"sbx/policy"
)

// A search of a large project is remembered: which names of each directory it had to look
// at, and when that directory last changed. The next one asks the kernel for the names of
// those directories alone that have changed since, and treats the remembered names as if it
// had just read them. So nothing is remembered of a file itself, which changes without
// the directory's times.
//
// Who could write there would decide what later launches hide. So it lies beside the settings
// in the home of the password file: no target can write there, whatever HOME says, and
// where it is missing none can make it (see probeOwn). docs/files.md tells users.
const (
	// fewNames is how many names may be read before it is worth while to look for what is
	// remembered, if no directories are read ahead. largeDir is the size of a directory, in
	// bytes, that has as many.
	fewNames, largeDir = 2000, 1 << 16
	// manyNames is how many names must have been read for it to be written anew.
	manyNames = 3000
	// settled is for how long a directory must not have changed when it is read. Ext4 without
	// room for more has times in seconds.
	settled = 2 * time.Second
)

// searchLimits are those of what is remembered of all projects.
var searchLimits = cache.Limits{Entry: 8 << 20, Entries: 32}

// steady are the file systems on which no name comes to be in a directory, or goes, without
// a new change time that no program can choose.
func steady(fd int) bool {
	var st unix.Statfs_t
	if unix.Fstatfs(fd, &st) != nil {
		return false
	}
	switch st.Type {
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC:
		return true
	}
	return false
}

// memory is what is remembered of a project that a policy is to be launched in.
type memory struct {
	facts *Facts
	files *policy.Files
	scan  *scan
	// asked says that it was looked for. Until then, and where nothing can be
	// remembered, there are no dirs; kept is nil only in the second case.
	asked bool
	kept  *cache.Dir
	key   [sha256.Size]byte
	dirs  map[string]memorized
	// dev is the device that directories must lie on.
	dev ns.ID
	// fresh is how many names were read in spite of it.
	fresh int
	// settled is in the place of the constant if it is above 0.
	settled time.Duration
}

// memorized is what is remembered of a directory.
type memorized struct {
	id      ns.ID
	ctim    unix.Timespec
	look    look
	wants   bool // to be open, since its files are looked at
	entries int
	names   []byte // struct linux_dirent64 of each name that mattered
}

// recall looks for what is remembered of the project.
func (m *memory) recall() {
	if m == nil || m.asked {
		return
	}
	m.asked = true
	s := m.scan
	if m.kept = m.facts.searches(); m.kept == nil {
		return
	}
	// What a name must be like to matter is said by this sbx and by the policy's patterns.
	var exe, root unix.Stat_t
	if !steady(s.root) || unix.Fstat(s.root, &root) != nil || unix.Stat("/proc/self/exe", &exe) != nil {
		m.kept = nil
		return
	}
	m.dev = identity(&root)
	var b []byte
	for _, n := range [...]uint64{exe.Dev, exe.Ino, uint64(exe.Size), uint64(exe.Ctim.Nano()), uint64(s.look)} {
		b = binary.NativeEndian.AppendUint64(b, n)
	}
	for _, list := range [...][]string{{s.dir}, m.files.Hide, m.files.Inspect, m.files.Guard, m.files.Unguard} {
		b = binary.NativeEndian.AppendUint64(b, uint64(len(list)))
		for _, text := range list {
			b = append(append(b, text...), 0)
		}
	}
	m.key = sha256.Sum256(b)
	m.dirs = make(map[string]memorized)
	kept := m.kept.Get(m.key)
	m.kept.Close()
	for b := kept; len(b) > 0; {
		var rel string
		var d memorized
		if rel, d, b = cutMemorized(b); rel == "" {
			clear(m.dirs)
			return
		}
		m.dirs[rel] = d
	}
}

// searches is where searches are remembered, or nil.
func (h *Facts) searches() *cache.Dir {
	account := h.byAccount()
	if account == "/" {
		return nil
	}
	const settings = ".config/sbx"
	if dir := h.look(path.Join(account, settings)); dir.Err != nil || dir.Mode != 0 {
		if dir.Err != nil || !h.private(dir) {
			return nil
		}
		return cache.Below(procFD(dir.FD), "searches", searchLimits)
	}
	home := h.look(account)
	if home.Err != nil || !h.private(home) {
		return nil
	}
	return cache.Below(procFD(home.FD), settings+"/searches", searchLimits)
}

// private says whether nobody but the caller and root can write to the directory.
func (h *Facts) private(dir File) bool {
	return dir.Mode == unix.S_IFDIR && int(dir.UID) == h.UID && dir.Perm&0o022 == 0
}

// of is what is remembered of the directory, if anything is, and if it may be as it was.
func (m *memory) of(d *scanned) (memorized, bool) {
	if m == nil || len(m.dirs) == 0 || d.again {
		return memorized{}, false
	}
	was, ok := m.dirs[d.rel]
	return was, ok && was.look == d.look
}

// keeps says whether what is read of a directory that changed so long ago can be remembered.
func (m *memory) keeps(age time.Duration) bool {
	return m != nil && age >= cmp.Or(m.settled, settled)
}

// spares says that the directory need not be opened.
func (m *memory) spares(d *scanned) bool {
	was, ok := m.of(d)
	return ok && !was.wants
}

// stat is what the directory was.
func (d *memorized) stat() unix.Stat_t {
	return unix.Stat_t{Dev: unix.Mkdev(d.id.Major, d.id.Minor), Ino: d.id.Ino, Ctim: d.ctim, Mode: unix.S_IFDIR | 0o777}
}

// Remember writes down the searches of large projects that had to read much, for the next
// launch. It is called when the target runs already, and before the files are closed.
func (h *Facts) Remember() {
	for _, s := range h.unremembered {
		var b []byte
		for _, d := range s.all() {
			if d.state == complete && d.settled && d.id.Major == s.memory.dev.Major && d.id.Minor == s.memory.dev.Minor {
				b = appendMemorized(b, d.rel, memorized{d.id, d.ctim, d.look, d.wants, d.entries, d.names})
			}
		}
		s.memory.kept.Put(s.memory.key, b)
		s.memory.kept.Close()
	}
	h.unremembered = nil
}

// headSize is that of what stands before the path and the names of a memorized directory.
const headSize = 9 * 8

func appendMemorized(b []byte, rel string, d memorized) []byte {
	wants := uint64(0)
	if d.wants {
		wants = 1
	}
	for _, n := range [...]uint64{uint64(d.id.Major)<<32 | uint64(d.id.Minor), d.id.Ino, uint64(d.ctim.Sec),
		uint64(d.ctim.Nsec), uint64(d.look), uint64(d.entries), uint64(len(rel)), uint64(len(d.names)), wants} {
		b = binary.NativeEndian.AppendUint64(b, n)
	}
	return append(append(b, rel...), d.names...)
}

// cutMemorized cuts the first directory off b. If that is none its path is empty.
func cutMemorized(b []byte) (rel string, d memorized, rest []byte) {
	if len(b) < headSize {
		return "", d, nil
	}
	var n [headSize / 8]uint64
	for i := range n {
		n[i] = binary.NativeEndian.Uint64(b[8*i:])
	}
	b = b[headSize:]
	if n[6] > uint64(len(b)) || n[7] > uint64(len(b))-n[6] {
		return "", d, nil
	}
	rel, b = string(b[:n[6]]), b[n[6]:]
	d = memorized{
		id:   ns.ID{Major: uint32(n[0] >> 32), Minor: uint32(n[0]), Ino: n[1]},
		ctim: unix.Timespec{Sec: int64(n[2]), Nsec: int64(n[3])},
		look: look(n[4]), wants: n[8] != 0, entries: int(n[5]), names: b[:n[7]],
	}
	for names := d.names; len(names) > 0; {
		if names = cutDirent(names); names == nil {
			return "", d, nil
		}
	}
	return rel, d, b[n[7]:]
}
