package sandbox

import (
	"cmp"
	"fmt"
	"strings"

	"sbx/internal/sys"
	"sbx/internal/text"

	"golang.org/x/sys/unix"

	"sbx/ns"
	"sbx/policy"
)

// layers are where the changes of an overlay are kept.
func (v *view) layers(e *entry, o policy.PathOptions) error {
	e.layers = new([2]File)
	for i, name := range [...]string{o.Upper, o.Work} {
		f := v.host.Files[name]
		switch {
		case name == "":
			return fmt.Errorf("overlay %s: files.path names one of upper and work, which go together", text.Quote(e.path))
		case f.Err != nil:
			return fmt.Errorf("look at %s: %w", text.Quote(name), f.Err)
		case f.Mode == 0:
			return fmt.Errorf("overlay %s: keep changes in %s: %w", text.Quote(e.path), text.Quote(name), unix.ENOENT)
		case !f.Dir():
			return fmt.Errorf("overlay %s: keep changes in %s: %w", text.Quote(e.path), text.Quote(name), unix.ENOTDIR)
		case f.NoWrite != nil:
			return fmt.Errorf("overlay %s: keep changes in %s: %w", text.Quote(e.path), text.Quote(name), f.NoWrite)
		}
		e.layers[i] = f
	}
	if a, b := e.layers[0], e.layers[1]; a.Major != b.Major || a.Minor != b.Minor || policy.Within(a.Real, b.Real) || policy.Within(b.Real, a.Real) {
		return &NeedError{What: fmt.Sprintf("overlay %s: upper and work must be two directories of one file system, neither in the other", text.Quote(e.path)),
			Fix: "make them side by side: mkdir upper work"}
	}
	return nil
}

// overlay is the step for an entry that has been collected.
func (v *view) overlay(e entry, below bool) ns.Overlay {
	o := ns.Overlay{Path: e.path, Lower: layer(e.src), Size: cmp.Or(e.size, v.tmp), Mode: e.src.Perm,
		NoExec: e.noexec || e.src.NoExec, Below: below, Cover: v.cover()}
	if e.layers != nil {
		o.Upper, o.Work, o.Size, o.Mode = layer(e.layers[0]), layer(e.layers[1]), "", 0
	} else if v.host.UID == 0 && !v.users && (e.src.UID != 0 || e.src.GID != 0) {
		o.Own, o.UID, o.GID = true, e.src.UID, e.src.GID
	}
	return o
}

func layer(f File) ns.Layer {
	return ns.Layer{Path: f.Real, ID: ns.ID{Major: f.Major, Minor: f.Minor, Ino: f.Ino}, FD: f.FD}
}

// checkOverlay says why the entry cannot be an overlay, if so. Overlayfs takes
// one file system as a layer, without what is mounted in it; what that covers
// would be shown instead.
func checkOverlay(e entry) error {
	name := text.Quote(e.path)
	switch {
	case e.path == "/":
		return &NeedError{What: "overlay /: not possible", Fix: "overlay the directories in it that are to be written"}
	case !e.src.Dir():
		return fmt.Errorf("overlay %s: %w", name, unix.ENOTDIR)
	case e.src.Mounted != "":
		return &NeedError{What: fmt.Sprintf("overlay %s: %s is mounted in it, which an overlay cannot include", name, text.Quote(e.src.Mounted)),
			Fix: "overlay directories beside it"}
	}
	return nil
}

// lookOverlays finds out what is to be known of overlays beyond other entries.
func (h *Host) lookOverlays(p *policy.Policy) error {
	if len(p.Files.Overlay) == 0 {
		return nil
	}
	mounts, err := mountPoints()
	if err != nil {
		return &NeedError{What: "look for mounts in an overlay: " + err.Error(), Fix: "mount /proc: mount -t proc proc /proc"}
	}
	for _, s := range p.Files.Overlay {
		s = strings.TrimPrefix(s, "?")
		source := cmp.Or(p.Files.Paths[s].From, s)
		f := h.Files[source]
		if f.Mode == 0 {
			continue
		}
		var st unix.Statfs_t
		if err := unix.Fstatfs(f.FD, &st); err != nil {
			return fmt.Errorf("look at the file system of %s: %w", text.Quote(source), err)
		}
		f.NoExec = st.Flags&unix.ST_NOEXEC != 0
		for _, m := range mounts {
			if m != f.Real && policy.Within(m, f.Real) {
				f.Mounted = m
			}
		}
		h.Files[source] = f
		for _, name := range [...]string{p.Files.Paths[s].Upper, p.Files.Paths[s].Work} {
			if f, ok := h.Files[name]; ok && f.Mode != 0 {
				f.NoWrite = unix.Faccessat(unix.AT_FDCWD, f.Real, unix.W_OK, unix.AT_EACCESS)
				h.Files[name] = f
			}
		}
	}
	return nil
}

// mountPoints are those of /proc/self/mountinfo; see proc(5).
func mountPoints() ([]string, error) {
	text, err := sys.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var list []string
	plain := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 4 {
			list = append(list, plain.Replace(f[4]))
		}
	}
	return list, nil
}
