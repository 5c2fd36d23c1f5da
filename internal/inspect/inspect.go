// Package inspect reads from /proc what restricts a process: any process, whoever
// started it.
package inspect

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/caps"
)

// Process is what restricts a process. What the caller may not read is among Unread.
type Process struct {
	PID     int      `json:"pid"`
	Name    string   `json:"name"`
	Command []string `json:"command"`
	Parent  int      `json:"parent"`
	UID     int      `json:"uid"` // effective, as the caller sees it
	// Seccomp is "none", "strict" or "filter", and Filters their number (Linux 5.9).
	Seccomp    string `json:"seccomp"`
	Filters    int    `json:"seccomp_filters"`
	NoNewPrivs bool   `json:"no_new_privs"`
	// The five sets by name.
	Effective   []string `json:"effective"`
	Permitted   []string `json:"permitted"`
	Inheritable []string `json:"inheritable"`
	Bounding    []string `json:"bounding"`
	Ambient     []string `json:"ambient"`
	// Securebits are known of the caller itself alone.
	Securebits *int        `json:"securebits"`
	Namespaces []Namespace `json:"namespaces"`
	UIDMap     []string    `json:"uid_map"`
	GIDMap     []string    `json:"gid_map"`
	// Cgroup is the path in cgroup v2, and Limits are the files of that cgroup, and of those
	// above it, that have one. Rlimits are the process's own that are not unlimited.
	Cgroup  string   `json:"cgroup"`
	Limits  []string `json:"limits"`
	Rlimits []string `json:"rlimits"`
	// Mounts is how many there are, and Writable are those that are not read-only.
	Mounts   int     `json:"mounts"`
	Writable []Mount `json:"writable_mounts"`
	// Label is of the security module, if there is one.
	Label string `json:"label"`
	// Dumpable is nil where it cannot be told: of root's.
	Dumpable    *bool        `json:"dumpable"`
	Descriptors []Descriptor `json:"descriptors"`
	// Variables are the names of all variables of the environment.
	Variables []string `json:"-"`
	// Secrets are those of them that look like ones of secrets.
	Secrets []string `json:"secret_variables"`
	Unread  []string `json:"unread"`
}

// Namespace is one of a process's.
type Namespace struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
	// Ours says that it is the caller's too.
	Ours bool `json:"ours"`
}

// Mount is one of a process's mounts.
type Mount struct {
	Path string `json:"path"`
	Type string `json:"type"`
}

// Descriptor is one that may lead out.
type Descriptor struct {
	FD   int    `json:"fd"`
	What string `json:"what"` // "directory outside its root", "socket", "device", "pty"
	Name string `json:"name"`
}

// Look reads what there is about a process.
func Look(pid int) (*Process, error) {
	dir := strconv.Itoa(pid)
	status, err := os.ReadFile("/proc/" + dir + "/status")
	if err != nil {
		return nil, fmt.Errorf("inspect process %d: %w", pid, err)
	}
	p := &Process{PID: pid}
	f := fields(string(status))
	p.Name, p.Parent = f["Name"], number(f["PPid"])
	if ids := strings.Fields(f["Uid"]); len(ids) > 1 {
		p.UID = number(ids[1])
	}
	p.Seccomp = map[string]string{"1": "strict", "2": "filter"}[f["Seccomp"]]
	if p.Seccomp == "" {
		p.Seccomp = "none"
	}
	p.Filters, p.NoNewPrivs = number(f["Seccomp_filters"]), f["NoNewPrivs"] == "1"
	for _, x := range [...]struct {
		key string
		to  *[]string
	}{{"CapEff", &p.Effective}, {"CapPrm", &p.Permitted}, {"CapInh", &p.Inheritable}, {"CapBnd", &p.Bounding},
		{"CapAmb", &p.Ambient}} {
		n, err := strconv.ParseUint(f[x.key], 16, 64)
		if err != nil {
			return nil, fmt.Errorf("inspect process %d: read %s: %w", pid, x.key, err)
		}
		last, err := caps.Last()
		if err != nil {
			return nil, err
		}
		*x.to = nonNil(caps.Set(n & (1<<(last+1) - 1)).Names())
	}
	if pid == os.Getpid() {
		if bits, err := unix.PrctlRetInt(unix.PR_GET_SECUREBITS, 0, 0, 0, 0); err == nil {
			p.Securebits = &bits
		}
	}
	if line, err := os.ReadFile("/proc/" + dir + "/cmdline"); err == nil {
		p.Command = strings.Split(strings.TrimSuffix(string(line), "\x00"), "\x00")
	}
	p.namespaces(dir)
	p.UIDMap, p.GIDMap = p.lines(dir, "uid_map"), p.lines(dir, "gid_map")
	p.cgroup(dir)
	p.rlimits(dir)
	ids := p.mounts(dir)
	if label, err := os.ReadFile("/proc/" + dir + "/attr/current"); err == nil {
		p.Label = strings.Trim(string(label), "\x00\n")
	}
	p.dumpable(dir)
	p.descriptors(dir, ids)
	p.environment(dir)
	p.Unread = nonNil(p.Unread)
	return p, nil
}

func nonNil[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// fields are the lines "key: value" of a file.
func fields(text string) map[string]string {
	out := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			out[key] = strings.TrimSpace(value)
		}
	}
	return out
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

// unread notes what the caller may not see.
func (p *Process) unread(what string, err error) {
	p.Unread = append(p.Unread, what+": "+cause(err))
}

func cause(err error) string {
	for _, e := range []unix.Errno{unix.EACCES, unix.EPERM, unix.ENOENT} {
		if strings.HasSuffix(err.Error(), e.Error()) {
			return e.Error()
		}
	}
	return err.Error()
}

func (p *Process) namespaces(dir string) {
	p.Namespaces = []Namespace{}
	for _, kind := range []string{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"} {
		id, err := os.Readlink("/proc/" + dir + "/ns/" + kind)
		if err != nil {
			if !os.IsNotExist(err) {
				p.unread(kind+" namespace", err)
			}
			continue
		}
		own, err := os.Readlink("/proc/self/ns/" + kind)
		p.Namespaces = append(p.Namespaces, Namespace{Kind: kind, ID: id, Ours: err == nil && own == id})
	}
}

// lines are those of a small file, with single blanks.
func (p *Process) lines(dir, name string) []string {
	b, err := os.ReadFile("/proc/" + dir + "/" + name)
	if err != nil {
		p.unread(name, err)
		return []string{}
	}
	list := []string{}
	for line := range strings.Lines(string(b)) {
		list = append(list, strings.Join(strings.Fields(line), " "))
	}
	return list
}

// cgroup finds the limits of the process's cgroup and those above it.
func (p *Process) cgroup(dir string) {
	p.Limits = []string{}
	for _, line := range p.lines(dir, "cgroup") {
		own, ok := strings.CutPrefix(line, "0::")
		if !ok {
			continue
		}
		p.Cgroup = own
		for at := own; strings.HasPrefix(at, "/") && !strings.HasPrefix(at, "/.."); at = path.Dir(at) {
			for _, name := range []string{"memory.max", "memory.swap.max", "pids.max", "cpu.max", "io.max"} {
				b, err := os.ReadFile("/sys/fs/cgroup" + at + "/" + name)
				value := strings.TrimSpace(string(b))
				if err == nil && value != "" && !strings.HasPrefix(value, "max") {
					p.Limits = append(p.Limits, path.Join(at, name)+" "+strings.Join(strings.Fields(value), " "))
				}
			}
			if at == "/" {
				break
			}
		}
	}
}

func (p *Process) rlimits(dir string) {
	p.Rlimits = []string{}
	b, err := os.ReadFile("/proc/" + dir + "/limits")
	if err != nil {
		p.unread("limits", err)
		return
	}
	for i, line := range strings.Split(string(b), "\n") {
		if f := strings.Fields(line); i > 0 && len(f) >= 4 && strings.HasPrefix(line, "Max ") {
			// The name has 26 columns; then come the soft limit, the hard one and the unit.
			rest := strings.Fields(line[min(26, len(line)):])
			if len(rest) > 0 && rest[0] != "unlimited" {
				name := strings.ToLower(strings.TrimSpace(strings.TrimPrefix(line[:min(26, len(line))], "Max ")))
				p.Rlimits = append(p.Rlimits, name+" "+rest[0])
			}
		}
	}
}

// mounts reads the mounts and returns their ids.
func (p *Process) mounts(dir string) map[string]bool {
	p.Writable = []Mount{}
	b, err := os.ReadFile("/proc/" + dir + "/mountinfo")
	if err != nil {
		p.unread("mounts", err)
		return nil
	}
	ids := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		dash := slices.Index(f, "-")
		if len(f) < 7 || dash < 6 || dash+3 >= len(f) {
			continue
		}
		p.Mounts++
		ids[f[0]] = true
		readOnly := slices.Contains(strings.Split(f[5], ","), "ro") || slices.Contains(strings.Split(f[dash+3], ","), "ro")
		if !readOnly {
			p.Writable = append(p.Writable, Mount{Path: f[4], Type: f[dash+1]})
		}
	}
	return ids
}

// dumpable is told by who owns the process's files in /proc.
func (p *Process) dumpable(dir string) {
	var st unix.Stat_t
	if p.UID == 0 || unix.Stat("/proc/"+dir+"/environ", &st) != nil {
		return
	}
	is := int(st.Uid) == p.UID
	p.Dumpable = &is
}

// environment keeps the names of variables only.
func (p *Process) environment(dir string) {
	p.Secrets = []string{}
	b, err := os.ReadFile("/proc/" + dir + "/environ")
	if err != nil {
		p.unread("environment", err)
		return
	}
	for v := range strings.SplitSeq(string(b), "\x00") {
		if name, _, ok := strings.Cut(v, "="); ok && name != "" {
			p.Variables = append(p.Variables, name)
		}
	}
}

// descriptors finds those that may lead out. ids are the mounts below the process's root.
func (p *Process) descriptors(dir string, ids map[string]bool) {
	p.Descriptors = []Descriptor{}
	list, err := os.ReadDir("/proc/" + dir + "/fd")
	if err != nil {
		p.unread("descriptors", err)
		return
	}
	for _, e := range list {
		fd := number(e.Name())
		name, err := os.Readlink("/proc/" + dir + "/fd/" + e.Name())
		if err != nil {
			continue // closed meanwhile
		}
		var st unix.Stat_t
		if unix.Stat("/proc/"+dir+"/fd/"+e.Name(), &st) != nil {
			continue
		}
		d := Descriptor{FD: fd, Name: name}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFSOCK:
			d.What = "socket"
		case unix.S_IFCHR, unix.S_IFBLK:
			d.What = "device"
			if major := unix.Major(st.Rdev); major >= 136 && major < 144 {
				d.What = "pty"
			}
			if n := st.Rdev; n == unix.Mkdev(1, 3) || n == unix.Mkdev(1, 5) || n == unix.Mkdev(1, 8) || n == unix.Mkdev(1, 9) {
				continue // null, zero, random and urandom lead nowhere
			}
		case unix.S_IFDIR:
			info, err := os.ReadFile("/proc/" + dir + "/fdinfo/" + e.Name())
			id := fields(string(info))["mnt_id"]
			if err != nil || ids == nil || ids[id] {
				continue
			}
			d.What = "directory outside its root"
		default:
			continue
		}
		p.Descriptors = append(p.Descriptors, d)
	}
	slices.SortFunc(p.Descriptors, func(a, b Descriptor) int { return a.FD - b.FD })
}
