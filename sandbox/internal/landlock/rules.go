package landlock

import (
	"golang.org/x/sys/unix"

	"sbx/internal/step"
	"sbx/internal/text"
)

// The rules of a sandbox that has no mount namespace of its own, where Landlock
// alone restricts the target's access to files.

// FDRule is Rule for a file that the launcher has kept open since it looked at it.
// Putting another file at the path changes nothing.
type FDRule struct {
	ABI  int
	Path string
	FD   int
	// Allow and File are as in Rule.
	Allow Access
	File  bool
}

func (r FDRule) String() string {
	return Rule{Path: r.Path, Allow: r.Allow}.String() + ", by its descriptor"
}

func (FDRule) Kind() string { return "landlock-descriptor-rule" }

// Compile adds the rule on the descriptor itself.
func (r FDRule) Compile(a *step.Asm) {
	allow := r.Allow & handled(r.ABI)
	if r.File {
		allow &= fileOnly
	}
	addRule(a, allow, step.Fd(r.FD))
}

// JoinedPathRule is Rule for a path of a mount namespace that has been joined. The
// launcher knows nothing of its files.
type JoinedPathRule struct {
	ABI  int
	Path string
	// Allow is as in Rule.
	Allow Access
	// Optional makes no rule where the path is missing or has a link in it.
	Optional bool
}

func (r JoinedPathRule) String() string {
	s := Rule{Path: r.Path, Allow: r.Allow}.String()
	if r.Optional {
		s += ", if it is there"
	}
	return s
}

func (JoinedPathRule) Kind() string { return "landlock-joined-rule" }

func (r JoinedPathRule) Hint(err error) string {
	switch step.Errno(err) {
	case unix.ENOENT:
		return "put a ? in front of a path that may be missing in the joined namespace: \"?" + r.Path + "\""
	case unix.ELOOP:
		return "a part of " + text.Quote(r.Path) + " is a symbolic link in the joined namespace; " +
			"name the path that it leads to"
	}
	return ""
}

// Compile opens the path and adds the rule: first with the rights that a file can
// have, then with all, which the kernel refuses for a file. No link is followed.
func (r JoinedPathRule) Compile(a *step.Asm) {
	fd := a.Temp()
	c := open(a, r.Path).To(fd)
	if r.Optional {
		c.Or(unix.ENOENT).Or(unix.ENOTDIR).Or(unix.ELOOP)
	}
	allow := r.Allow & handled(r.ABI)
	for i, rights := range [...]Access{allow & fileOnly, allow} {
		c := addRule(a, rights, fd.Arg())
		if i == 1 {
			c.Or(unix.EINVAL) // it is a file, which has no rights of directories
		}
		if r.Optional {
			c.Or(unix.EBADF)
		}
	}
	c = a.Sys(unix.SYS_CLOSE, fd.Arg())
	if r.Optional {
		c.Or(unix.EBADF)
	}
}
