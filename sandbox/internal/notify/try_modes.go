package notify

import (
	"fmt"
	"path"
	"strconv"

	"golang.org/x/sys/unix"

	"sbx/policy/explain"
)

// who is with which rights the one who asks reaches files.
func (t *trial) who() (o owner, overrides bool) {
	status := t.l.status()
	if status == "" {
		return o, true // it says nothing certain
	}
	const past = 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_DAC_READ_SEARCH
	return ownerOf(status), field(status, "CapEff:", 16)&past != 0
}

// searched is a directory without links that somebody with the ids may search, with all over
// it, and where the program cannot change that.
type searched struct {
	dir, groups string
	uid         uint32
}

// search says that the directory, a path without links, and those over it can be searched.
// Where the launcher is no root it has been there itself, as the same user.
func (t *trial) search(dir string) bool {
	if unix.Geteuid() != 0 || dir == "" {
		return true
	}
	o, overrides := t.who()
	if overrides {
		return true
	}
	var passed []searched
	groups := fmt.Sprint(o.groups)
	for at := dir; at != "/" && at != "."; at = path.Dir(at) {
		k := searched{at, groups, o.uid}
		if t.l.files.searched[k] {
			break
		}
		p, errno := t.open(at, unix.O_NOFOLLOW, 0)
		if errno != 0 {
			return true
		}
		ok := hasACL(p.fd) || o.may(uint32(p.st.Mode), p.st.Uid, p.st.Gid, unix.X_OK)
		t.out.Mode, t.out.Owner = uint32(p.st.Mode)&0o7777, p.st.Uid
		unix.Close(p.fd)
		if !ok {
			t.out.At = at
			t.fail(unix.EACCES, explain.Modes)
			return false
		}
		if passed = append(passed, k); !p.ro {
			passed = passed[:0] // it may be changed, and those below it may come to be others
		}
	}
	for _, k := range passed {
		if len(t.l.files.searched) < maxFiles {
			t.l.files.searched[k] = true
		}
	}
	return true
}

// may says that the file's own permissions are enough, or that this is not certain.
func (t *trial) may(p *place, bits uint32) bool {
	if bits == 0 || p.kind() == unix.S_IFLNK {
		return true
	}
	t.out.Mode, t.out.Owner = uint32(p.st.Mode)&0o7777, p.st.Uid
	if bits&unix.X_OK != 0 && p.kind() == unix.S_IFREG && p.st.Mode&0o111 == 0 {
		return false // also for root
	}
	o, overrides := t.who()
	switch {
	case overrides:
		return true
	case unix.Geteuid() == 0:
		return hasACL(p.fd) || o.may(uint32(p.st.Mode), p.st.Uid, p.st.Gid, bits)
	case int(o.uid) != unix.Geteuid():
		return true
	}
	// The same user asks the kernel.
	err := unix.Faccessat2(p.fd, "", bits, unix.AT_EMPTY_PATH|unix.AT_EACCESS)
	return err != unix.EACCES
}

// hasACL says that more than the mode decides.
func hasACL(fd int) bool {
	_, err := unix.Getxattr("/proc/self/fd/"+strconv.Itoa(fd), "system.posix_acl_access", nil)
	return err == nil
}

// allows says that the Landlock domain allows this with the file, as the plan has it.
func (t *trial) allows(p *place, right uint64) bool {
	if t.l.files.allows == nil || right == 0 || p.real == "" {
		return true
	}
	return right&^t.l.files.allows(p.real) == 0
}
