package rootfs_test

import (
	"path"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/landlock"
	"sbx/sandbox/internal/rootfs"
)

const (
	listing = landlock.Access(unix.LANDLOCK_ACCESS_FS_READ_DIR)
	running = landlock.Access(unix.LANDLOCK_ACCESS_FS_EXECUTE)
	moving  = landlock.Access(unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_SYM |
		unix.LANDLOCK_ACCESS_FS_REFER)
	ofFiles = landlock.Access(unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_READ_FILE |
		unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE)
)

// bareRule is a Landlock rule as the kernel takes it.
type bareRule struct {
	path  string
	allow landlock.Access
	file  bool
}

func bareRules(b *rootfs.Bare) (list []bareRule) {
	for _, s := range b.Rules {
		switch r := s.(type) {
		case landlock.FDRule:
			list = append(list, bareRule{r.Path, r.Allow, r.File})
		case landlock.FoundRule:
			list = append(list, bareRule{r.Path, r.Allow, r.File})
		}
	}
	return list
}

// rightsAt are the rights that the kernel finds for a path: those of all rules at and over it.
func rightsAt(rules []bareRule, p string) (a landlock.Access) {
	for _, r := range rules {
		if r.path == p || !r.file && policy.Within(p, r.path) {
			a |= r.allow
		}
	}
	return a
}

// wanted are the rights that the tree gives.
func wanted(n rootfs.Node) (a landlock.Access) {
	switch n.Kind {
	case rootfs.Write:
		a = landlock.Write
	case rootfs.Read, rootfs.Overlay:
		a = landlock.Read
	default:
		return 0
	}
	if n.NoExec {
		a &^= running
	}
	return a
}

// TestBareRules: over random machines and policies, Landlock's rules give at each path what
// the tree says and no more, but for the names in directories; they give all of it where
// nothing below is less; and what is less cannot be moved away from where it is.
func TestBareRules(t *testing.T) {
	made, fixed := 0, 0
	for seed := uint64(0); seed < 600; seed++ {
		d := seeded(seed)
		m := d.machine(false)
		p := &policy.Policy{Name: "p", Namespaces: policy.Namespaces{All: "host"}, Files: d.files(m)}
		p.Files.Inline, p.Files.Symlinks, p.Files.Directories = nil, nil, nil
		for name, o := range p.Files.Paths {
			o.From = ""
			p.Files.Paths[name] = o
		}
		w := &world{machine: m, policy: p}
		h := m.facts(p, nil)
		for _, e := range p.Tree().Entries {
			if e.Kind == policy.KindTmpfs {
				h.Files[e.Name] = m.look(e.Name)
			}
		}
		h.Listed = map[string][]host.Found{}
		for name, i := range m {
			if name != "/" && i.mode != unix.S_IFLNK {
				f := m.look(name)
				h.Listed[path.Dir(name)] = append(h.Listed[path.Dir(name)], host.Found{Path: name, Dir: f.Dir(), ID: f.ID()})
			}
		}
		b, err := rootfs.NewBare(p, host.Target{Dir: "/", Elsewhere: "/"}, h, 0)
		if err != nil {
			continue
		}
		made++
		if b.Fixed != "" {
			fixed++
		}
		rules := bareRules(b)
		for name, i := range m {
			if policy.Within(name, "/dev") || policy.Within(name, "/proc") {
				continue
			}
			node := b.At(name)
			want, got := wanted(node), rightsAt(rules, name)
			if got&^(want|listing) != 0 {
				t.Fatalf("seed %d: %s is %s and has %#x\n%v", seed, name, node.Kind, got, w)
			}
			less := false
			for other := range m {
				if other != name && policy.Within(other, name) {
					x := wanted(b.At(other))
					less = less || want&^(x|listing) != 0
				}
			}
			need := want
			if i.mode != unix.S_IFDIR {
				need &= ofFiles
			}
			if !less && !absentBelow(b, p, name, want) && need&^got != 0 {
				t.Fatalf("seed %d: %s is %s and lacks %#x\n%v", seed, name, node.Kind, need&^got, w)
			}
			// Where it lies nobody moves it.
			up := path.Dir(name)
			if name != "/" && want != wanted(b.At(up)) && wanted(b.At(up))&^want != 0 && rightsAt(rules, up)&moving != 0 {
				t.Fatalf("seed %d: %s, %s, can be moved out of %s\n%v", seed, name, node.Kind, up, w)
			}
		}
	}
	if made < 100 || fixed < 10 {
		t.Errorf("only %d trees, %d of them with directories that are fixed", made, fixed)
	}
}

// absentBelow says whether an entry that gives less names a path below that is not there:
// the directory is fixed for it too.
func absentBelow(b *rootfs.Bare, p *policy.Policy, name string, want landlock.Access) bool {
	tree := p.Tree()
	for _, e := range tree.Entries {
		if e.Name != name && policy.Within(e.Name, name) && want&^(wanted(b.At(e.Name))|listing) != 0 {
			return true
		}
	}
	for _, x := range tree.Hidden {
		if x.Name != name && policy.Within(x.Name, name) {
			return true
		}
	}
	return policy.Within("/dev", name) || policy.Within("/proc", name)
}
