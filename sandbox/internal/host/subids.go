package host

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/ns"
)

// MaxID is the greatest user or group id. The kernel uses (uid_t)-1 for "none".
const MaxID = 1<<32 - 2

// SubIDs are the ranges of ids that the system lets the caller use: /etc/subuid
// and /etc/subgid, see subuid(5).
type SubIDs struct {
	UIDs, GIDs []ns.Extent // Inside is not set
	// Err is why there are none.
	Err error
}

// IDMappers are the set-user-ID programs of the system that may map them: newuidmap(1)
// and newgidmap(1).
var IDMappers = [...]string{"/usr/bin/newuidmap", "/usr/bin/newgidmap"}

// probeSubIDs reads both files. A name service is not asked.
func (h *Facts) probeSubIDs() (s SubIDs) {
	for _, name := range IDMappers {
		var st unix.Stat_t
		err := unix.Lstat(name, &st)
		switch {
		case err != nil:
			return SubIDs{Err: &NeedError{
				Reason: NoIDs,
				What:   fmt.Sprintf("map ranges of ids: %s: %v", name, err),
				Fix:    "install it: apt-get install uidmap",
			}}
		case st.Mode&unix.S_IFMT != unix.S_IFREG || st.Uid != 0 || st.Mode&0o022 != 0:
			return SubIDs{Err: Refuse(NoIDs, "map ranges of ids: %s is not a file that only root can write", name)}
		}
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return SubIDs{Err: fmt.Errorf("map ranges of ids: %w", err)}
	}
	login := ""
	for line := range strings.Lines(string(passwd)) {
		if f := strings.Split(line, ":"); len(f) > 3 && f[2] == strconv.Itoa(h.UID) {
			login = f[0]
			break
		}
	}
	for _, f := range [...]struct {
		name string
		own  int
		to   *[]ns.Extent
	}{{"/etc/subuid", h.UID, &s.UIDs}, {"/etc/subgid", h.GID, &s.GIDs}} {
		text, err := os.ReadFile(f.name)
		if err != nil {
			return SubIDs{Err: fmt.Errorf("map ranges of ids: %w", err)}
		}
		if *f.to, err = parseSub(f.name, string(text), login, h.UID, f.own); err != nil {
			return SubIDs{Err: err}
		}
	}
	return s
}

// parseSub reads the lines of a file that are for the caller, by login name or number.
// own is the id that is mapped too.
func parseSub(file, content, login string, uid, own int) (list []ns.Extent, err error) {
	n := 0
	for line := range strings.Lines(content) {
		n++
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if f[0] == "" || f[0] != login && f[0] != strconv.Itoa(uid) {
			continue
		}
		bad := func(why string) error {
			return Refuse(Invalid, "map ranges of ids: %s:%d: %s: %s", file, n, text.Quote(strings.TrimSuffix(line, "\n")), why)
		}
		if len(f) != 3 {
			return nil, bad("not three fields")
		}
		first, ok := strictID(f[1])
		count, ok2 := strictID(f[2])
		switch {
		case !ok || !ok2:
			return nil, bad("not a number from 0 to 4294967294, in plain decimal digits")
		case first == 0:
			return nil, bad("it begins with root")
		case count == 0 || uint64(first)+uint64(count)-1 > MaxID:
			return nil, bad("it has no ids, or goes beyond the last")
		case own >= int(first) && own <= int(first+count-1):
			return nil, bad(fmt.Sprintf("it holds the caller's own %d", own))
		case slices.ContainsFunc(list, func(e ns.Extent) bool {
			return first < e.Outside+e.Count && e.Outside < first+count
		}):
			return nil, bad("it overlaps a line before")
		}
		list = append(list, ns.Extent{Outside: first, Count: count})
	}
	const most = 100 // the kernel takes 340, and returns this many in one read
	switch {
	case len(list) > most:
		return nil, Refuse(Invalid, "map ranges of ids: %s gives the caller more than %d", file, most)
	case len(list) == 0:
		if login == "" {
			login = strconv.Itoa(uid)
		}
		return nil, &NeedError{
			Reason: NoIDs,
			What:   fmt.Sprintf("map ranges of ids: %s gives user %s none", file, text.Quote(login)),
			Fix: "give it some: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 " +
				text.Quote(login),
		}
	}
	return list, nil
}

// strictID reads an id that is written in the canonical way.
func strictID(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n <= MaxID && strconv.FormatUint(n, 10) == s
}

// users are the machine's users by name, as /etc/passwd has them. The name
// service is not asked: it would run what others have configured.
func users() (map[string]int, error) {
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return nil, err
	}
	list := make(map[string]int)
	for line := range strings.Lines(string(passwd)) {
		if f := strings.Split(line, ":"); len(f) > 3 {
			if n, err := strconv.Atoi(f[2]); err == nil && n >= 0 && uint64(n) <= 1<<32-2 {
				list[f[0]] = n
			}
		}
	}
	return list, nil
}
