package rootfs_test

import (
	"math/rand/v2"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// paper is a machine's file system by its real paths.
type paper map[string]inode

type inode struct {
	mode   uint32 // its type
	target string // of a link
	ino    uint64
}

// dice are choices: those of a fuzzer or of a seed. At their end all are 0.
type dice struct{ data []byte }

func seeded(seed uint64) *dice {
	data := make([]byte, 1024)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	r.Read(data) //nolint:errcheck // never fails
	return &dice{data}
}

func (d *dice) n(k int) int {
	if len(d.data) == 0 {
		return 0
	}
	b := d.data[0]
	d.data = d.data[1:]
	return int(b) % k
}

func (d *dice) name() string { return string("abcd"[d.n(4)]) }

// machine is a random file system: up to five directories deep, with links that
// lead up, down, out, nowhere and to one another, if there are to be any.
func (d *dice) machine(links bool) paper {
	m := paper{}
	add := func(p string, i inode) {
		i.ino = uint64(7000 + len(m))
		m[p] = i
	}
	for _, p := range []string{"/", "/proc", "/proc/acpi", "/dev", "/dev/pts", "/dev/shm"} {
		add(p, inode{mode: unix.S_IFDIR})
	}
	add("/proc/keys", inode{mode: unix.S_IFREG})
	for _, x := range host.Devices {
		add("/dev/"+x, inode{mode: unix.S_IFCHR})
	}
	var fill func(dir string, depth int)
	fill = func(dir string, depth int) {
		for _, name := range []string{"a", "b", "c", "d"} {
			switch p, k := path.Join(dir, name), d.n(10); {
			case k < 2:
			case k < 6+2*(1-depth/2) && depth < 5:
				add(p, inode{mode: unix.S_IFDIR})
				if len(m) < 120 {
					fill(p, depth+1)
				}
			case k < 8 || !links:
				add(p, inode{mode: unix.S_IFREG})
			default:
				add(p, inode{mode: unix.S_IFLNK, target: d.target()})
			}
		}
	}
	fill("/", 0)
	return m
}

func (d *dice) target() string {
	t := ""
	switch d.n(4) {
	case 0:
		t = "/"
	case 1:
		t = "../"
	case 2:
		t = "../../"
	}
	for range 1 + d.n(3) {
		t += d.name() + "/"
	}
	return strings.TrimSuffix(t, "/")
}

// real follows all links of the path, as the kernel does.
func (m paper) real(name string) (string, error) {
	at, budget := "/", 40
	parts := strings.Split(name, "/")
	for len(parts) > 0 {
		part := parts[0]
		parts = parts[1:]
		switch i := m[at]; {
		case part == "" || part == ".":
			continue
		case i.mode != unix.S_IFDIR:
			return "", unix.ENOTDIR
		case part == "..":
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		switch i, ok := m[next]; {
		case !ok:
			return "", unix.ENOENT
		case i.mode == unix.S_IFLNK:
			if budget--; budget < 0 {
				return "", unix.ELOOP
			}
			if path.IsAbs(i.target) {
				at = "/"
			}
			parts = slices.Concat(strings.Split(i.target, "/"), parts)
		default:
			at = next
		}
	}
	return at, nil
}

// look is the file as sbx describes it.
func (m paper) look(name string) host.File {
	real, err := m.real(name)
	switch err {
	case nil:
	case unix.ENOENT, unix.ENOTDIR:
		return host.File{}
	default:
		return host.File{Err: err}
	}
	i := m[real]
	f := host.File{Real: real, Mode: i.mode, Perm: 0o755, Major: 8, Minor: 1, Ino: i.ino, Links: 1}
	if last, ok := m[name]; ok && last.mode == unix.S_IFLNK {
		f.Link = last.target
	}
	if at := slices.Index(host.Devices[:], path.Base(real)); i.mode == unix.S_IFCHR {
		f.Rdev = host.DeviceNumber(at)
	}
	return f
}

// facts are what sbx knows of the machine for a policy: it has looked at what
// the lists name, and at the places of what is mounted.
func (m paper) facts(p *policy.Policy, found []string) *host.Facts {
	h := &host.Facts{UID: 1000, GID: 1000, Files: map[string]host.File{}, LSM: host.LSM{Landlock: 7},
		Masks: []host.Found{{Path: "/proc/acpi", Dir: true}, {Path: "/proc/keys"}}}
	look := func(name string) {
		if _, have := h.Files[name]; !have && strings.HasPrefix(name, "/") {
			h.Files[name] = m.look(name)
		}
	}
	tree := p.Tree()
	for _, e := range tree.Entries {
		if e.Kind.FromHost() && !unread(tree, e) {
			look(e.Source())
		}
	}
	for _, x := range tree.Hidden {
		look(x.Name)
		if dir := path.Dir(x.Name); h.Files[x.Name].Missing() && !x.Optional {
			for ; m.look(dir).Missing(); dir = path.Dir(dir) {
			}
			if f := m.look(dir); f.Err != nil {
				h.Files[x.Name] = f
			} else {
				h.Files[x.Name] = host.File{Real: path.Join(f.Real, strings.TrimPrefix(x.Name, dir))}
			}
		}
	}
	for _, d := range host.Devices {
		look("/dev/" + d)
	}
	mapped := slices.ContainsFunc(tree.Entries, func(e policy.Entry) bool { return e.Options.From != "" })
	for _, e := range tree.Entries {
		if mapped || e.Kind == policy.KindDirectory || e.Kind == policy.KindFile || e.Kind == policy.KindTmpfs {
			look(h.Origin(tree, e.Name, false))
		}
	}
	look(h.Origin(tree, "/dev", false))
	if mapped {
		for _, x := range tree.Hidden {
			look(h.Origin(tree, x.Name, false))
			look(h.Origin(tree, x.Name, true))
		}
	}
	for _, real := range found {
		f := m.look(real)
		h.Found = append(h.Found, host.Found{Path: real, Dir: f.Dir(), ID: f.ID()})
	}
	return h
}

// unread says whether sbx does without a look at the entry: it may be missing,
// and is shown by another one just so, and it guards nothing.
func unread(tree *policy.Tree, e policy.Entry) bool {
	over := tree.Over(e.Name)
	writes := slices.ContainsFunc(tree.Entries, func(e policy.Entry) bool { return e.Kind == policy.KindWrite })
	return !writes && e.Kind == policy.KindRead && e.Optional && e.Options == (policy.PathOptions{}) && e.Name != "/" &&
		over.Kind == policy.KindRead && over.Options == (policy.PathOptions{})
}

// path is a random one, mostly of what is there.
func (d *dice) path(there []string) string {
	if d.n(8) > 1 && len(there) > 0 {
		p := there[(d.n(256)*256+d.n(256))%len(there)]
		if d.n(6) == 0 {
			p = path.Join(p, d.name())
		}
		return p
	}
	p := ""
	for range 1 + d.n(5) {
		p += "/" + d.name()
	}
	return p
}

// there are the machine's paths of random names.
func (m paper) there() (list []string) {
	for p := range m {
		if p != "/" && !strings.HasPrefix(p, "/proc") && !strings.HasPrefix(p, "/dev") {
			list = append(list, p)
		}
	}
	slices.Sort(list)
	return list
}

// files are the lists of a random policy.
func (d *dice) files(m paper) policy.Files {
	there := m.there()
	f := policy.Files{Inline: map[string]string{}, Symlinks: map[string]string{}, Paths: map[string]policy.PathOptions{}}
	no := false
	fill := func(to *[]string, most int, marks bool) {
		for range d.n(most + 1) {
			p := d.path(there)
			if d.n(20) == 0 && to != &f.Hide && to != &f.Tmpfs {
				p = "/"
			}
			o := f.Paths[p]
			switch d.n(12) {
			case 0, 1:
				if to == &f.Read || to == &f.Write || to == &f.Overlay {
					o.From = d.path(there)
				}
			case 2:
				if to != &f.Hide && to != &f.Directories {
					o.Exec = &no
				}
			}
			if o != (policy.PathOptions{}) {
				f.Paths[p] = o
			}
			if marks && d.n(5) < 2 {
				p = "?" + p
			}
			*to = append(*to, p)
		}
	}
	fill(&f.Write, 3, true)
	fill(&f.Read, 4, true)
	fill(&f.Overlay, 1, true)
	fill(&f.Tmpfs, 2, false)
	fill(&f.Directories, 1, true)
	fill(&f.Hide, 2, true)
	if d.n(4) == 0 {
		f.Inline[d.path(there)] = "text"
	}
	if d.n(5) == 0 {
		f.Symlinks[d.path(there)] = d.target()
	}
	return f
}
