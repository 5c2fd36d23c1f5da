package host

import (
	"slices"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// In a sandbox that nests another one, what the outer one hides has a cover already:
// an empty file without a name of its own, on a read-only mount. The kernel mounts
// nothing over such a file, and nothing has to be: the inner sandbox has the cover too,
// and cannot take it off.

// covered says whether what is open with O_PATH is such a cover.
func covered(fd int, st *unix.Stat_t) bool {
	var fs unix.Statfs_t
	return st.Nlink == 0 && st.Mode&0o7777 == 0 && unix.Fstatfs(fd, &fs) == nil && fs.Flags&unix.ST_RDONLY != 0
}

// dropCovers takes what is covered already off what the searches found.
func (h *Facts) dropCovers(*policy.Policy, *policy.Tree, Target) error {
	for _, list := range [...]*[]Found{&h.Found, &h.Sockets} {
		*list = slices.DeleteFunc(*list, h.isCover)
	}
	return nil
}

func (h *Facts) isCover(f Found) bool {
	o, err := h.walk.open(f.Path)
	if err != nil {
		return false // it is hidden all the same, or the plan fails
	}
	defer unix.Close(o.fd) // opened with O_PATH
	return o.real == f.Path && identity(&o.st) == f.ID && covered(o.fd, &o.st)
}
