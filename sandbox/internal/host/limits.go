package host

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/sandbox/internal/cgroup"
)

// Limits are what the policy's limits depend on. They are empty where it has none.
type Limits struct {
	// Hard are the caller's hard limits, by RLIMIT_*, for the limits that the policy sets.
	Hard map[int]uint64
	// PageSize is the kernel's page size in bytes: a limit on memory counts pages.
	PageSize uint64
	// CountsPerNamespace says that the kernel counts processes for each user namespace,
	// Linux 5.14.
	CountsPerNamespace bool
	// Cgroups are those below which the caller may make others, if the policy needs one.
	// CgroupWhy is why there are none, or no more.
	Cgroups   []cgroup.Parent
	CgroupWhy string
	// CgroupAll are the controllers that the machine has in cgroup v2.
	CgroupAll cgroup.Set
	// CgroupUnified says that there is no cgroup v1 beside v2.
	CgroupUnified bool
	// Disks are the disks that limits.io applies to.
	Disks []cgroup.Disk
}

// probeLimits reads what the limits need to know.
func (h *Facts) probeLimits(p *policy.Policy, _ *policy.Tree, _ Target) error {
	if p.Limits == (policy.Limits{}) {
		return nil
	}
	l := p.Limits
	h.Limits.Hard = make(map[int]uint64)
	for _, x := range [...]struct {
		value    string
		resource int
	}{
		{l.CPUTime, unix.RLIMIT_CPU}, {l.FileSize, unix.RLIMIT_FSIZE}, {l.Core, unix.RLIMIT_CORE},
		{l.OpenFiles, unix.RLIMIT_NOFILE}, {l.Processes, unix.RLIMIT_NPROC},
		{l.Memory, unix.RLIMIT_DATA},
	} {
		if x.value == "" {
			continue
		}
		var r unix.Rlimit
		if err := unix.Getrlimit(x.resource, &r); err != nil {
			return fmt.Errorf("read the caller's limits: %w", err)
		}
		h.Limits.Hard[x.resource] = r.Max
	}
	if l.Memory == "" && l.CPU == "" && l.IO == "" && l.Processes == "" {
		return nil
	}
	h.Limits.PageSize = uint64(unix.Getpagesize())
	h.Limits.CountsPerNamespace = kernelFrom(5, 14)
	h.Limits.CgroupUnified = cgroup.Unified()
	// Close leaves their descriptors open, because the launcher cleans up by one of them
	// if the janitor was killed.
	h.Limits.Cgroups, h.Limits.CgroupAll, h.Limits.CgroupWhy = cgroup.Find()
	if l.IO != "" {
		var err error
		if h.Limits.Disks, err = cgroup.Disks(); err != nil {
			return err
		}
	}
	return nil
}

// kernelFrom says whether the kernel's version is that one or later.
func kernelFrom(major, minor int) bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	var x, y int
	if n, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &x, &y); n != 2 || err != nil {
		return false
	}
	return x > major || x == major && y >= minor
}
