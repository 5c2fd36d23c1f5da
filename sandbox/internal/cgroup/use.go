package cgroup

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Open opens the cgroups that Make has made: the outer one, to read its files, and
// the inner one, to start the child in. The caller closes both.
func (m Make) Open(token string) (outer, inside int, err error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC | unix.O_NOFOLLOW
	if outer, err = unix.Openat(m.Parent.FD, name(token), flags, 0); err != nil {
		return -1, -1, err
	}
	if inside, err = unix.Openat(outer, "box", flags, 0); err != nil {
		unix.Close(outer)
		return -1, -1, err
	}
	return outer, inside, nil
}

// Missing says that the kernel does not have the limit, which is optional.
func (l Limit) Missing(outer int) bool {
	return l.Optional && unix.Faccessat(outer, l.File, unix.F_OK, 0) == unix.ENOENT
}

// Verify reads back what the limit wrote, from the outer cgroup.
func (l Limit) Verify(outer int) error {
	got := read(outer, l.File)
	for line := range strings.Lines(got) {
		line = strings.TrimSpace(line)
		// io.max has a line for each disk, and more in each line than was written.
		if line == l.Text || l.File == "io.max" && strings.HasPrefix(line+" ", l.Text+" ") {
			return nil
		}
	}
	return fmt.Errorf("found %q there", strings.TrimSpace(got))
}

// Events counts how often the kernel enforced a limit.
type Events struct {
	// Killed is how many processes it killed because of the limit on memory.
	Killed uint64
	// Forks is how many forks it refused.
	Forks uint64
}

// ReadEvents reads the outer cgroup's counters.
func ReadEvents(outer int) Events {
	return Events{
		Killed: counter(read(outer, "memory.events"), "oom_kill"),
		Forks:  counter(read(outer, "pids.events"), "max"),
	}
}

// ReadPeaks reads the most memory, in bytes, and the most processes that the cgroup held
// at a time; 0 for what the kernel does not tell.
func ReadPeaks(outer int) (memory, processes uint64) {
	number := func(file string) uint64 {
		n, err := strconv.ParseUint(strings.TrimSpace(read(outer, file)), 10, 64)
		if err != nil {
			return 0
		}
		return n
	}
	return number("memory.peak"), number("pids.peak")
}

// counter is a value of a file whose lines are a key and a value.
func counter(text, key string) uint64 {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == key {
			n, err := strconv.ParseUint(f[1], 10, 64)
			if err == nil {
				return n
			}
		}
	}
	return 0
}

// Disk is a whole block device. Limits of io.max are per disk.
type Disk struct {
	Name         string
	Major, Minor uint32
}

// Disks lists the block devices that have a size, from /sys/block.
func Disks() ([]Disk, error) {
	dir, err := unix.Open("/sys/block", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("list the disks in /sys/block: %w", err)
	}
	defer unix.Close(dir)
	var list []Disk
	b := make([]byte, 1<<14)
	for {
		n, err := unix.ReadDirent(dir, b)
		if err != nil {
			return nil, fmt.Errorf("list the disks in /sys/block: %w", err)
		}
		if n == 0 {
			return list, nil
		}
		_, _, names := unix.ParseDirent(b[:n], -1, nil)
		for _, name := range names {
			size := strings.TrimSpace(read(dir, name+"/size"))
			major, minor, ok := strings.Cut(strings.TrimSpace(read(dir, name+"/dev")), ":")
			x, err1 := strconv.ParseUint(major, 10, 32)
			y, err2 := strconv.ParseUint(minor, 10, 32)
			if size != "" && size != "0" && ok && err1 == nil && err2 == nil {
				list = append(list, Disk{name, uint32(x), uint32(y)})
			}
		}
	}
}
