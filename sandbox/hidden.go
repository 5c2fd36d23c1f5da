package sandbox

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/sandbox/step"
)

// hideLimit bounds how many directory entries are looked at for patterns.
const hideLimit = 20000

// search looks for the policy's patterns in the project directory. It reads
// directories by itself: package os would set up its poller for that, at
// every launch.
type search struct {
	// top are the patterns for the project's own directory, deep those for
	// any depth below it.
	top, deep []pattern
	// optional says that every deep pattern may be given up on.
	optional bool
	seen     int
	found    []Hidden
	cut      bool
}

// findHidden looks for the policy's patterns in the project directory, and
// below it for those that begin with "**/".
func (h *Host) findHidden(p *policy.Policy, dir string) error {
	s := search{optional: true}
	for _, entry := range p.Files.Hide {
		pat := strings.TrimPrefix(entry, "?")
		switch {
		case strings.HasPrefix(pat, "/"):
		case strings.HasPrefix(pat, "**/"):
			s.deep = append(s.deep, newPattern(strings.TrimPrefix(pat, "**/")))
			s.optional = s.optional && pat != entry
		default:
			s.top = append(s.top, newPattern(pat))
		}
	}
	if len(s.top)+len(s.deep) == 0 || dir == "" || !Shows(p, dir) {
		return nil
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("look for secrets to hide in %s: %w", step.Quote(dir), err)
	}
	err = s.walk(fd, dir, "", 0)
	h.Hidden, h.HideCut = s.found, s.cut
	return err
}

// walk looks through one directory, whose descriptor it closes. rel is its
// path below the project, empty or with a slash at the end. Links are not
// followed: what one points to is hidden where it lies.
func (s *search) walk(fd int, dir, rel string, depth int) error {
	defer unix.Close(fd)
	buf := make([]byte, 8192)
	var below []string
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil {
			return fmt.Errorf("look for secrets to hide in %s: %w", step.Quote(path.Join(dir, rel)), err)
		}
		if n == 0 {
			break
		}
		for b := buf[:n]; len(b) > 0; {
			var name string
			var kind uint8
			name, kind, b = dirent(b)
			if name == "." || name == ".." {
				continue
			}
			if s.seen++; s.seen > hideLimit {
				s.cut = true
				if !s.optional {
					return fmt.Errorf("look for secrets to hide in %s: more than %d files", step.Quote(dir), hideLimit)
				}
				return nil
			}
			if kind == unix.DT_UNKNOWN { // a file system that does not say
				var st unix.Stat_t
				if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
					continue // gone by now
				}
				kind = uint8(st.Mode & unix.S_IFMT >> 12)
			}
			switch hit := depth == 0 && matches(s.top, name) || matches(s.deep, name); {
			case kind == unix.DT_LNK:
			case hit:
				s.found = append(s.found, Hidden{path.Join(dir, rel+name), kind == unix.DT_DIR})
			case kind == unix.DT_DIR && len(s.deep) > 0:
				below = append(below, name)
			}
		}
	}
	for _, name := range below {
		if s.cut {
			break
		}
		next, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err == unix.EACCES || err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP {
			continue // not readable here, not readable inside; or gone by now
		}
		if err != nil {
			return fmt.Errorf("look for secrets to hide in %s: %w", step.Quote(path.Join(dir, rel+name)), err)
		}
		if err := s.walk(next, dir, rel+name+"/", depth+1); err != nil {
			return err
		}
	}
	return nil
}

// dirent takes the first struct linux_dirent64 off b; see getdents64(2).
func dirent(b []byte) (name string, kind uint8, rest []byte) {
	const recLen, typeAt, nameAt = 16, 18, 19
	n := int(b[recLen]) | int(b[recLen+1])<<8
	kind = b[typeAt]
	text := b[nameAt:n]
	for i, c := range text {
		if c == 0 {
			text = text[:i]
			break
		}
	}
	return string(text), kind, b[n:]
}

// pattern is one of path.Match's. Most are a name with at most one star, at
// an end, which is compared without it: there may be many names.
type pattern struct {
	text, prefix, suffix string
	general              bool
}

func newPattern(text string) pattern {
	p := pattern{text: text}
	var star bool
	p.prefix, p.suffix, star = strings.Cut(text, "*")
	p.general = strings.ContainsAny(text, `?[\`) || strings.Contains(p.suffix, "*") || star && p.prefix != "" && p.suffix != ""
	return p
}

func (p pattern) matches(name string) bool {
	switch {
	case p.general:
		ok, err := path.Match(p.text, name)
		return ok || err != nil // a bad pattern hides too much rather than too little
	case len(p.prefix)+len(p.suffix) == len(p.text):
		return name == p.text
	}
	return strings.HasPrefix(name, p.prefix) && strings.HasSuffix(name, p.suffix)
}

func matches(patterns []pattern, name string) bool {
	for i := range patterns {
		if patterns[i].matches(name) {
			return true
		}
	}
	return false
}
