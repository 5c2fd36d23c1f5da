package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"sbx/internal/text"

	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/policy"
)

// collect reads the policy's lists. Of two that name one path the more
// particular counts: write, then read, overlay and tmpfs.
//
// What must be writable, and would not be for the target with the
// capabilities it keeps, is an error now rather than a riddle later.
func (v *view) collect(p *policy.Policy, keep caps.Set) error {
	seen := make(map[string]bool)
	add := func(list []string, k kind) error {
		for _, s := range list {
			name := strings.TrimPrefix(s, "?")
			if seen[name] {
				continue
			}
			e := entry{path: name, kind: k, optional: name != s, mode: 0o700}
			if k == tmpfsKind && (name == "/tmp" || name == "/var/tmp" || name == "/dev/shm") {
				e.mode = 0o1777
			}
			if len(p.Files.Paths) > 0 {
				if err := v.options(&e, p.Files.Paths[name]); err != nil {
					return err
				}
			}
			if k != tmpfsKind {
				source := cmp.Or(e.from, name)
				e.src = v.host.Files[source]
				if e.src.Err != nil {
					return fmt.Errorf("look at %s: %w", text.Quote(source), e.src.Err)
				}
				if e.src.Mode == 0 {
					if e.optional {
						continue
					}
					return &MissingError{source}
				}
				if k == writeKind && !e.optional {
					if err := v.host.writable(source, e.src, keep); err != nil {
						return err
					}
				}
			}
			if k == overlayKind {
				if err := checkOverlay(e); err != nil {
					return err
				}
			}
			seen[name] = true
			if k != tmpfsKind && e.from == "" && e.src.Real != name && listed(p, path.Dir(name)) {
				if err := v.link(p, e, seen); err != nil {
					return err
				}
				continue
			}
			v.entries = append(v.entries, e)
		}
		return nil
	}
	if err := errors.Join(add(p.Files.Write, writeKind), add(p.Files.Read, readKind), add(p.Files.Overlay, overlayKind),
		add(p.Files.Tmpfs, tmpfsKind)); err != nil {
		return err
	}
	if err := errors.Join(v.sockets(p, seen), v.own(p, seen)); err != nil {
		return err
	}
	slices.Sort(v.notes) // whatever the order of the lists
	for _, s := range between(p) {
		source := s
		if len(p.Files.Paths) > 0 {
			source = v.host.origin(p, s, false)
		}
		if f := v.host.Files[source]; f.Mode != 0 && f.Real == source && !seen[s] {
			v.entries = append(v.entries, entry{path: s, kind: writeKind, src: f, fixed: true})
		}
	}
	return nil
}

// listed says whether the path is, or lies in, what the policy shows of the
// outside.
func listed(p *policy.Policy, name string) bool {
	return writes(p, name) || covers(p.Files.Read, name)
}

// writes says whether the policy lets the target write at the path.
func writes(p *policy.Policy, name string) bool {
	return covers(p.Files.Write, name) || covers(p.Files.Overlay, name)
}

// covers says whether the path is, or lies in, one of the list.
func covers(list []string, name string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return policy.Within(name, strings.TrimPrefix(s, "?")) })
}

// writable says why the target could not write to the file, if so.
func (h *Host) writable(name string, f File, keep caps.Set) error {
	const ownWay = 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_SETUID // past the mode bits, or to another user
	switch {
	case f.NoWrite != nil:
		return &NeedError{What: fmt.Sprintf("let the target write to %s: %v", text.Quote(name), f.NoWrite),
			Fix: "start sbx where you may write, or use a policy that only reads, such as default"}
	case h.UID != 0 || keep&ownWay != 0 || f.Mode != unix.S_IFDIR && f.Mode != unix.S_IFREG,
		f.UID == 0 && f.Perm&0o200 != 0, f.UID != 0 && f.GID == uint32(h.GID) && f.Perm&0o020 != 0, f.Perm&0o002 != 0:
		return nil
	}
	return &NeedError{What: fmt.Sprintf("let the target write to %s: it belongs to user %d, and root keeps no dac_override", text.Quote(name), f.UID),
		Fix: fmt.Sprintf("run sbx as user %d, or keep dac_override in a policy of your own", f.UID)}
}
