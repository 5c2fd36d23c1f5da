package host

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/internal/text"
	"sbx/policy"
)

// OwnDir is a directory that sbx itself reads its policies, filters or reports from.
type OwnDir struct {
	// Name is the path by which sbx finds it. File is what is there; if nothing is,
	// its Real is where the directory would be.
	Name string
	File File
	// Checked says that what is read there is checked before it is used, or used for
	// nothing, as the report of explain is, so that a missing directory is no risk.
	Checked bool
	// Barred says that nothing is there, and that the caller can make nothing there: others
	// own each directory over it, and let nobody else write.
	Barred bool
	// Homeless says that the home that it would lie in does not exist either.
	Homeless bool
}

// SystemDir has the machine's policies.
const SystemDir = "/etc/sbx"

// probeOwn looks where sbx's own policies, filters and reports are, if the target may
// write to anything of the host: for the HOME that sbx has now and for the one of
// the password file, which it has the next time. sudo, su and cron make them two.
func (h *Facts) probeOwn(_ *policy.Policy, tree *policy.Tree, t Target) error {
	if !writes(tree) {
		return nil
	}
	account := h.byAccount()
	home, _ := Lookup(t.Env, "HOME")
	config, _ := Lookup(t.Env, "XDG_CONFIG_HOME")
	cache, _ := Lookup(t.Env, "XDG_CACHE_HOME")
	state, _ := Lookup(t.Env, "XDG_STATE_HOME")
	h.addOwn(SystemDir, "", false)
	for _, dir := range t.Shims {
		h.addOwn(dir, "", false)
	}
	for _, x := range [...]struct {
		base, below string
		checked     bool
	}{
		{config, "sbx", false}, {home, ".config/sbx", false}, {account, ".config/sbx", false},
		{cache, "sbx", true}, {home, ".cache/sbx", true}, {account, ".cache/sbx", true},
		{state, "sbx", true}, {home, ".local/state/sbx", true}, {account, ".local/state/sbx", true},
	} {
		if path.IsAbs(x.base) {
			h.addOwn(path.Join(x.base, x.below), x.base, x.checked)
		}
	}
	reviews := []string{path.Join(state, "sbx/review"), path.Join(home, ".local/state/sbx/review"),
		path.Join(account, ".local/state/sbx/review")}
	for i, name := range reviews {
		if path.IsAbs(name) && !slices.Contains(reviews[:i], name) {
			if err := h.addReviews(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// addReviews adds what the directory of reviews names, if there is one: what a program
// would change, and what is to be kept of that, is not for another program to decide.
// Changes that are kept on another file system lie there.
func (h *Facts) addReviews(name string) error {
	dir := h.look(name)
	if dir.Err != nil || dir.Mode != unix.S_IFDIR {
		return nil // reviews are neither made nor found by a link that is in doubt
	}
	fd, err := unix.Openat(dir.FD, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.EACCES {
		return nil // another user's
	}
	if err != nil {
		return fmt.Errorf("look for reviews in %s: %w", text.Quote(name), err)
	}
	defer unix.Close(fd)
	var list []string
	buf := make([]byte, 4096)
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil {
			return fmt.Errorf("look for reviews in %s: %w", text.Quote(name), err)
		}
		if n == 0 {
			break
		}
		_, _, list = unix.ParseDirent(buf[:n], -1, list)
	}
	for _, id := range list {
		places, err := sys.ReadRegularAt(fd, path.Join(id, "places"), unix.O_NOFOLLOW)
		switch err {
		case unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.EACCES, sys.ErrKind:
			continue // all of it is here, it is gone by now, or it is none of sbx's
		}
		if err != nil {
			return fmt.Errorf("look for the places of review %s: %w", text.Quote(id), err)
		}
		for place := range strings.SplitSeq(places, "\x00") {
			if path.IsAbs(place) {
				h.addOwn(place, "", true)
			}
		}
	}
	return nil
}

// addOwn looks at a directory of sbx's own, which lies in a home.
func (h *Facts) addOwn(name, home string, checked bool) {
	for _, d := range h.Own {
		if d.Name == name {
			return
		}
	}
	f := h.look(name)
	for dir := name; f.Mode == 0 && f.Err == nil && dir != "/"; {
		// It is not there: the nearest directory that is says where it would be.
		dir = path.Dir(dir)
		switch up := h.look(dir); {
		case up.Err != nil:
			f = up
		case up.Mode != 0:
			f.Real = path.Join(up.Real, strings.TrimPrefix(name, dir))
			dir = "/"
		}
	}
	switch e, ok := f.Err.(*LinkError); {
	case ok && !e.Inside:
		f = e.File // another user's link: policies by it are refused when they are read
	case f.Err == unix.EACCES:
		f = File{Real: name} // another user's, in which sbx does not look either
	}
	own := OwnDir{Name: name, File: f, Checked: checked}
	if f.Mode == 0 && f.Err == nil && !checked && f.Real != "" {
		own.Barred = h.barred(path.Dir(f.Real))
		own.Homeless = home != "" && h.look(home).Mode == 0
	}
	h.Own = append(h.Own, own)
}

// barred says whether the caller can neither make something in a directory of the host nor put
// another in the place of it, or of one over it.
func (h *Facts) barred(real string) bool {
	for dir := real; ; dir = path.Dir(dir) {
		f := h.look(dir)
		switch {
		case f.Err == unix.EACCES, f.Err == nil && f.Mode == 0:
		case f.Err != nil, int(f.UID) == h.UID, unix.Faccessat(f.FD, ".", unix.W_OK, unix.AT_EACCESS) == nil:
			return false
		}
		if dir == "/" {
			return true
		}
	}
}

// writes says whether the target may write to anything of the host.
func writes(tree *policy.Tree) bool {
	for _, e := range tree.Entries {
		if e.Kind == policy.KindWrite || e.Options.Upper != "" {
			return true
		}
	}
	return false
}

// probeSources looks at the files that the policy was read from: what decides
// over this launch and the next must not be the target's to write.
func (h *Facts) probeSources(p *policy.Policy, _ *policy.Tree, _ Target) error {
	for _, s := range p.Sources() {
		f := h.look(s.Path)
		switch {
		case f.Err != nil:
		case f.Mode == 0:
			f.Err = unix.ENOENT
		case unix.Mkdev(f.Major, f.Minor) != s.Dev || f.Ino != s.Ino:
			f.Err = unix.ESTALE
		}
		h.Sources = append(h.Sources, Source{s.Path, f})
	}
	return nil
}

// Source is a file that the policy was read from.
type Source struct {
	Name string
	File File
}

// probeReceipt finds out by what name the receipt's file could be changed.
func (h *Facts) probeReceipt(_ *policy.Policy, _ *policy.Tree, t Target) error {
	if t.Receipt == nil {
		return nil
	}
	var st, there unix.Stat_t
	if err := unix.Fstat(*t.Receipt, &st); err != nil {
		return err
	}
	name, err := readlink("/proc/self/fd/" + strconv.Itoa(*t.Receipt))
	if err != nil {
		return &NeedError{
			Reason: NoProc,
			What:   "see by /proc what the receipt's descriptor is: " + err.Error(),
			Fix:    "mount /proc: mount -t proc proc /proc",
		}
	}
	if !path.IsAbs(name) {
		return nil // a pipe or socket without a name
	}
	h.Receipt = describe(opened{fd: *t.Receipt, st: st, real: name})
	if unix.Lstat(name, &there) != nil || identity(&there) != identity(&st) {
		h.Receipt.Real = "" // it has lost this name; there may be others
		if st.Nlink == 0 {
			h.Receipt = File{}
		}
	}
	return nil
}

// byAccount is the caller's home by the password file, or "/".
func (h *Facts) byAccount() string {
	if h.account == "" {
		h.account = AccountHome(h.UID)
	}
	return h.account
}

// AccountHome is the user's home by /etc/passwd, or "/": systemd sets no HOME for
// its services.
func AccountHome(uid int) string {
	data, err := sys.ReadRegular("/etc/passwd")
	if err != nil {
		return "/"
	}
	for line := range strings.Lines(data) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) == 7 && f[2] == strconv.Itoa(uid) && path.IsAbs(f[5]) {
			return f[5]
		}
	}
	return "/"
}
