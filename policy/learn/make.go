package learn

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"sbx/policy"
	"sbx/policy/seccomp"
)

// Maker makes a policy of what was seen.
type Maker struct {
	// Roles are the policies that it may extend, the tightest first.
	Roles []string
	// Resolve resolves a policy of one file, and expands it.
	Resolve func(own *policy.Policy) (resolved, expanded *policy.Policy, err error)
	// Home and Dir are the caller's home and project, "" where there is none.
	Home, Dir string
	// Look says what is at a path of the host; no link is followed.
	Look func(string) Info
	// Private says that the run had a file system in memory at a path, and so nothing of the
	// host's. Nil: nowhere.
	Private func(string) bool
	Arch    seccomp.Arch
	// Merge are policies to unite with.
	Merge []*Own
	// Flags are what the flags of the run say, as a policy.
	Flags *policy.Policy
	// Tight leaves no system call that was not seen.
	Tight bool
	// Root says that the caller can leave a program capabilities. FirstPort is the first
	// port that takes none.
	Root      bool
	FirstPort uint16
	// Command is the program, for the summary.
	Command string
	// Denied are the calls that stayed denied.
	Denied []string

	roles map[string]role
}

// role is a policy that may be extended.
type role struct{ resolved, expanded *policy.Policy }

// Made is a policy that was made.
type Made struct {
	// Text is the file, and Own what it says.
	Text []byte
	Own  *policy.Policy
	// Left are what was seen and is not allowed, with the reason.
	Left []string
}

// Make makes the policy.
func (m *Maker) Make(seen *Seen) (*Made, error) {
	g := &ground{look: m.Look, private: m.Private, home: m.Home, dir: m.Dir, known: map[string]Info{}}
	var best *draft
	list := m.candidates()
	for i, extends := range list {
		d, err := m.draft(g, extends, seen, len(list) == 1 || i == 0 && len(m.Merge) > 0)
		if err != nil {
			return nil, err
		}
		if d != nil && (best == nil || d.cost < best.cost) {
			best = d
		}
		if best != nil && (best.cost == 0 || i == 0 && len(m.Merge) > 0 && best.lacks == 0 && best.cost < unfit) {
			break // none lacks less, as when a second run does what the first has done
		}
	}
	if best == nil {
		return nil, fmt.Errorf("make a policy: none of %s fits", strings.Join(m.Roles, ", "))
	}
	return m.finish(best, g, seen)
}

// role is the sum of what a policy may extend, worked out once.
func (m *Maker) role(extends []string) (role, error) {
	key := strings.Join(extends, "\x00")
	r, ok := m.roles[key]
	if ok {
		return r, nil
	}
	var err error
	r.resolved, r.expanded, err = m.Resolve(&policy.Policy{Name: "role", Version: 1, Extends: extends})
	if err != nil {
		return r, err
	}
	if m.roles == nil {
		m.roles = map[string]role{}
	}
	m.roles[key] = r
	return r, nil
}

// candidates are the lists of policies to extend. Where policies are merged, theirs is the
// first.
func (m *Maker) candidates() (out [][]string) {
	if len(m.Merge) > 0 {
		own, _ := unite(m.Merge, nil)
		if len(own.Extends) > 1 || len(m.Roles) == 1 {
			if len(m.Roles) == 1 {
				put(&own.Extends, m.Roles[0])
			}
			return [][]string{m.widest(own.Extends)}
		}
		out = append(out, own.Extends)
	}
	for _, r := range m.Roles {
		if len(out) == 0 || out[0] == nil || !slices.Equal(out[0], []string{r}) {
			out = append(out, []string{r})
		}
	}
	return out
}

// widest are the policies without those of which another one allows all.
func (m *Maker) widest(list []string) []string {
	for i := 0; i < len(list); i++ {
		others := slices.Delete(slices.Clone(list), i, i+1)
		for _, other := range others {
			r, err := m.role([]string{other})
			if err == nil && wider(m, list[i:i+1], r.resolved) {
				return m.widest(others)
			}
		}
	}
	return list
}

// finish writes what the draft lacks.
func (m *Maker) finish(d *draft, g *ground, seen *Seen) (*Made, error) {
	p, w := d.own, d.wants
	if p.Summary == "" {
		p.Summary = commented(path.Base(m.Command)) + ", as sbx learn has seen it"
	}
	made := &Made{Own: p}
	d.files(g, seen, made)
	d.calls(m, seen, made)
	d.network(m, seen)
	if m.Root {
		d.capabilities(m, seen)
		d.openHome(m, seen)
	}
	for _, name := range slices.Sorted(maps.Keys(w.left)) {
		why := "other programs use it, or it is installed"
		if g.secret(name) || w.hiddenName(name) {
			why = "it may hold secrets"
		}
		made.Left = append(made.Left, fmt.Sprintf("%s (%s): %s", commented(name), comment(w.left[name], ""), why))
	}
	for _, s := range m.Denied {
		made.Left = append(made.Left, commented(s)+": denied while learning, too")
	}
	if seen.Coarse {
		made.Left = append(made.Left, "more was done than sbx learn keeps; what is missing here, sbx explain says")
	}
	if err := d.expect(m, seen); err != nil {
		return nil, err
	}
	made.Text = d.text(made)
	return made, nil
}

// add adds an entry to a list of the policy, with its comment.
func (d *draft) add(key string, list *[]string, entry, why string) {
	if put(list, entry) {
		d.comments[key+"\x00"+entry] = why
	}
}

func (d *draft) files(g *ground, seen *Seen, made *Made) {
	p, w := d.own, d.wants
	f := &p.Files
	list := func(key string, to *[]string, mark string, entries map[string]By) {
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			s, ok := g.written(name)
			if !ok {
				made.Left = append(made.Left, fmt.Sprintf("%q: no policy can name it", name))
				continue
			}
			mark := mark
			if s == project {
				mark = ""
			}
			d.add(key, to, mark+s, comment(entries[name], firstIn(seen.Files, g, name)))
		}
	}
	change := w.collapse(w.change, nil)
	overlay, write := map[string]By{}, map[string]By{}
	for name, by := range change {
		if name == g.dir {
			write[name] = by
			f.Read = slices.DeleteFunc(slices.Clone(f.Read), func(s string) bool { return s == project })
		} else {
			overlay[name] = by
		}
	}
	read := w.collapse(w.read, f.Read)
	for name := range read {
		if overOf(change, name) != "" || change[name] != (By{}) {
			delete(read, name)
		}
	}
	for name := range w.empty {
		if overOf(change, name) != "" || change[name] != (By{}) || overOf(read, name) != "" {
			delete(w.empty, name)
		}
	}
	for name := range w.empty {
		below := func(m map[string]By) bool {
			for other := range m {
				if policy.Within(other, name) {
					return true
				}
			}
			return false
		}
		if below(read) || below(change) || below(w.private) {
			delete(w.empty, name)
		}
	}
	list("files.read", &f.Read, "?", read)
	for _, name := range slices.Sorted(maps.Keys(w.project)) {
		write[name] = w.project[name]
	}
	list("files.write", &f.Write, "?", write)
	list("files.overlay", &f.Overlay, "?", overlay)
	list("files.tmpfs", &f.Tmpfs, "", w.private)
	list("files.directories", &f.Directories, "", w.empty)
	f.Read = slices.DeleteFunc(f.Read, func(s string) bool {
		name := strings.TrimPrefix(s, "?")
		return slices.ContainsFunc(f.Read, func(over string) bool {
			over = strings.TrimPrefix(over, "?")
			_, learned := d.comments["files.read\x00"+s]
			return over != name && over != project && learned && policy.Within(name, over)
		})
	})
}

func (d *draft) calls(m *Maker, seen *Seen, made *Made) {
	c := &d.own.Seccomp
	deny := callsIn(d.role.Seccomp.Deny)
	for _, call := range slices.Sorted(maps.Keys(byName(d.denied))) {
		why := comment(byName(d.denied)[call], "")
		if deny[call] && put(&c.Deny, "!"+call) {
			d.comments["seccomp.deny\x00!"+call] = why
		}
		if !m.Tight {
			d.add("seccomp.allow", &c.Allow, call, why)
		}
	}
	if m.Tight {
		all := map[string]bool{}
		for _, call := range vital {
			all[call] = true
		}
		for _, e := range c.Allow {
			if e[0] == '!' {
				continue
			}
			for _, call := range calls(e) {
				all[call] = true
			}
		}
		by := byName(seen.Calls)
		for call := range by {
			all[call] = true
		}
		had := c.Allow
		c.Allow = tighten(d.role, all)
		for _, e := range c.Allow {
			if one, ok := by[e]; ok && !slices.Contains(had, e) {
				d.comments["seccomp.allow\x00"+e] = comment(one, "")
			}
		}
		for _, r := range tightRules {
			c.Rules = r.put(c.Rules, seen.Calls, m.Arch)
		}
		c.Rules = cloneRule(c.Rules, seen.Calls)
		return
	}
	if len(m.Merge) == 0 || slices.ContainsFunc(c.Rules, func(r seccomp.Rule) bool {
		_,
			ok := socketRule.is(r)
		return ok
	}) {
		c.Rules = socketRule.put(c.Rules, seen.Calls, m.Arch)
	}
}

func callsIn(list []string) map[string]bool {
	out := map[string]bool{}
	for _, c := range explode(list) {
		out[c] = true
	}
	return out
}
