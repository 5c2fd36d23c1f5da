package host

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/internal/text"
	"sbx/policy"
)

// probeOverlays finds out what a plan needs to know only of overlays.
func (h *Facts) probeOverlays(tree *policy.Tree, t Target) error {
	overlaid := func(e policy.Entry) bool {
		over := e.Kind == policy.KindOverlay || e.Kind == policy.KindWrite && t.Review != nil
		return over && h.Files[e.Source()].Mode != 0
	}
	if !slices.ContainsFunc(tree.Entries, overlaid) {
		return nil
	}
	mounts, err := mountPoints()
	if err != nil {
		return &NeedError{
			Reason: NoProc,
			What:   "look for mounts in an overlay: " + err.Error(),
			Fix:    "mount /proc: mount -t proc proc /proc",
		}
	}
	for _, e := range tree.Entries {
		if !overlaid(e) {
			continue
		}
		source := e.Source()
		for _, name := range append([]string{source}, t.Details[e.Name].Under...) {
			h.lookOnce(name)
			if err := h.lookAtLayer(name, mounts); err != nil {
				return err
			}
		}
		f := h.Files[source]
		layers := [2]string{e.Options.Upper, e.Options.Work}
		if e.Kind == policy.KindWrite {
			layers = t.Review.Layers[f.Real]
			h.lookOnce(layers[0])
			h.lookOnce(layers[1])
		}
		for _, name := range layers {
			if f, ok := h.Files[name]; ok && f.Mode != 0 {
				f.NoWrite = unix.Faccessat(unix.AT_FDCWD, f.Real, unix.W_OK, unix.AT_EACCESS)
				h.Files[name] = f
			}
		}
	}
	return nil
}

// lookAtLayer finds out what is to be known of an overlay's lower directory.
func (h *Facts) lookAtLayer(name string, mounts []string) error {
	f := h.Files[name]
	if f.Mode == 0 {
		return nil // the plan says so
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(f.FD, &st); err != nil {
		return fmt.Errorf("look at the file system of %s: %w", text.Quote(name), err)
	}
	f.NoExec = st.Flags&unix.ST_NOEXEC != 0
	for _, m := range mounts {
		if m != f.Real && policy.Within(m, f.Real) {
			f.Mounted = m
		}
	}
	h.Files[name] = f
	return nil
}

// mountPoints are the mount points in /proc/self/mountinfo; see proc(5).
func mountPoints() ([]string, error) {
	content, err := sys.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var list []string
	plain := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(content) {
		if f := strings.Fields(line); len(f) > 4 {
			list = append(list, plain.Replace(f[4]))
		}
	}
	return list, nil
}
