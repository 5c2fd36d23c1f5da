package integration

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// snapshot is what the host has below the tree: each path with its inode, mode,
// owner and content. Directories that the targets have closed are opened.
func (c *treeCase) snapshot() map[string]string {
	list := map[string]string{}
	var look func(p string)
	look = func(p string) {
		fi, err := os.Lstat(p)
		if err != nil {
			c.Fatal(err)
		}
		st, ok := fi.Sys().(*syscall.Stat_t)
		if !ok {
			c.Fatalf("no stat of %s", p)
		}
		s := fmt.Sprintf("inode %d %v owner %d", st.Ino, fi.Mode(), st.Uid)
		switch {
		case fi.IsDir():
			if fi.Mode()&0o700 != 0o700 {
				if err := os.Chmod(p, fi.Mode()|0o700); err != nil {
					c.Fatal(err)
				}
			}
			entries, err := os.ReadDir(p)
			if err != nil {
				c.Fatal(err)
			}
			for _, e := range entries {
				s += " " + e.Name()
				look(filepath.Join(p, e.Name()))
			}
		case fi.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			if err != nil {
				c.Fatal(err)
			}
			s += " to " + to
		default:
			if fi.Mode()&0o400 == 0 {
				if err := os.Chmod(p, fi.Mode()|0o400); err != nil {
					c.Fatal(err)
				}
			}
			data, err := os.ReadFile(p)
			if err != nil {
				c.Fatal(err)
			}
			s += fmt.Sprintf(" %q", data)
		}
		list[p] = s
	}
	look(c.dir)
	return list
}

// unchanged: nothing on the host differs where no plan says writable.
func (c *treeCase) unchanged(before, after map[string]string) {
	for p, was := range before {
		if len(c.plans[0].places(p, "writable")) > 0 {
			continue
		}
		if c.ran[1] && len(c.plans[1].places(p, "writable")) > 0 {
			continue
		}
		if _, written := c.says(p); !c.ran[1] && written {
			continue
		}
		if is := after[p]; is != was && !(c.host && sameButMode(was, is)) {
			c.complain("%s on the host was %s and is %q", p, was, is)
		}
	}
}

// sameButMode: Landlock has no right to change modes by, and so denies none.
func sameButMode(a, b string) bool {
	f, g := strings.Fields(a), strings.Fields(b)
	if len(f) > 2 && len(g) > 2 {
		f[2], g[2] = "", ""
	}
	return strings.Join(f, " ") == strings.Join(g, " ")
}

// byLandlock is the plan of a policy without mounts: the entries of read and
// write at the paths that they lead to. A link in what is shown is not followed,
// nor one that the target itself could make.
func (c *treeCase) byLandlock(i int) (lines treeLines) {
	p := c.policies[i]
	planted := func(link string) bool {
		return slices.ContainsFunc(p.lists["write"], func(s string) bool {
			real := c.real(strings.TrimPrefix(s, "?"))
			return real != "" && inside(filepath.Dir(link), real)
		})
	}
	for list, is := range map[string]string{"read": "read-only", "write": "writable"} {
		for _, s := range p.lists[list] {
			s = strings.TrimPrefix(s, "?")
			real, links := c.follow(s)
			if slices.ContainsFunc(links, planted) {
				continue
			}
			over := filepath.Dir(s)
			for over != "/" && !p.has(over) {
				over = filepath.Dir(over)
			}
			if over != "/" && real != filepath.Join(c.real(over), strings.TrimPrefix(s, over)) {
				continue
			}
			if _, there := c.nodes[real]; there {
				lines = append(lines, treeLine{Path: real, Is: is})
			}
		}
	}
	return lines
}

// has says whether an entry has the path.
func (p *treePolicy) has(name string) bool {
	for _, entries := range p.lists {
		if slices.Contains(entries, name) || slices.Contains(entries, "?"+name) {
			return true
		}
	}
	return false
}
