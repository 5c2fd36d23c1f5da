package host

import (
	"fmt"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/ns"
	"sbx/policy"
)

const (
	// SearchLimit bounds how many names are looked at in a project, those at its top not
	// counted.
	SearchLimit = 300_000
	// learnLimit is that for a run that is learnt from, which shows homes as a whole.
	learnLimit = 2_000_000
	// socketLimit is that for sockets in other directories.
	socketLimit = 20_000
	// linkLimit is that for other hard links, of which nothing but the number is compared.
	linkLimit = 2_000_000
	// mostUnsearched is how many directories are hidden because they are beyond the limit.
	mostUnsearched = 256
)

// rules say what a search looks for.
type rules struct {
	// hide are the patterns for any depth, top those for the project's top directory.
	hide, top *names
	// unhide are exceptions by name, shown those by path.
	unhide *names
	shown  map[string]bool
	// inspect are the names of files that are looked into.
	inspect *names
	// ends are those of hide, top and inspect.
	ends ends
	// trees are the names of directories in which no secrets are looked for.
	trees []pattern
}

// rulesOf are the rules of a policy, made once for all its projects.
func (h *Facts) rulesOf(f *policy.Files) *rules {
	if h.rules == nil || h.ruled != f {
		h.rules, h.ruled = h.newRules(f), f
	}
	return h.rules
}

func (h *Facts) newRules(f *policy.Files) *rules {
	r := &rules{hide: newNames().grow(len(f.Hide)), top: newNames(), unhide: newNames().grow(len(f.Unhide)),
		inspect: newNames(f.Inspect...)}
	for _, entry := range f.Hide {
		pat := policy.ParsePath(entry).Name
		if deep, ok := strings.CutPrefix(pat, "**/"); ok {
			r.hide.add(deep)
		} else if !path.IsAbs(pat) {
			r.top.add(pat)
		}
	}
	for _, entry := range f.Unhide {
		pat := policy.ParsePath(entry).Name
		tree, isTree := strings.CutSuffix(pat, "/")
		switch {
		case path.IsAbs(pat):
			if r.shown == nil {
				r.shown = make(map[string]bool)
			}
			r.shown[pat] = true
			if real := h.Files[pat].Real; real != "" {
				r.shown[real] = true
			}
		case isTree:
			r.trees = append(r.trees, newPattern(tree))
		default:
			r.unhide.add(pat)
		}
	}
	for _, n := range [...]*names{r.hide, r.top, r.inspect} {
		for i := range n.patterns {
			r.ends.add(&n.patterns[i])
		}
	}
	return r
}

// findHidden looks for the policy's patterns in a project directory, and below it for
// those that begin with "**/". It records the sockets that it sees, too. In other
// directories it looks for sockets alone.
func (h *Facts) findHidden(p *policy.Policy, dir string, project bool) error {
	if h.searchBuf == nil {
		h.searchBuf = make([]byte, 1<<16)
	}
	s := scan{dir: dir, limit: h.sockets(), look: forSockets, buf: h.searchBuf}
	if project {
		s.look, s.limit, s.rules = 0, h.limit(), h.rulesOf(&p.Files)
		s.guarding = newGuarding(&p.Files, dir)
		s.deep = !s.rules.hide.none || !s.rules.inspect.none || len(s.guarding.deep) > 0
		if s.deep || !s.rules.top.none {
			s.look |= forSecrets
		}
		if s.guarding.on {
			s.look |= forGuarded
		}
		if s.look != 0 && h.masksSockets { // in the same pass
			s.look, s.deep = s.look|forSockets, true
			h.socketsSeen = append(h.socketsSeen, dir)
		}
	}
	if project && !h.learns {
		s.memory = &memory{facts: h, files: &p.Files, scan: &s}
	}
	linked, began := h.linked(p), time.Now()
	if s.look != 0 {
		if err := s.run(); err != nil {
			return err
		}
		if m := s.memory; m != nil && m.kept != nil && m.fresh >= manyNames {
			h.unremembered = append(h.unremembered, &s)
		}
		if err := h.take(&s); err != nil {
			return err
		}
	}
	if s.guarding.on {
		if err := s.guarding.follow(dir, h.home); err != nil {
			return err
		}
		h.expect(p, dir, &s.guarding)
		h.Guarded = append(h.Guarded, s.guarding.list...)
		h.GuardedLinks = append(h.GuardedLinks, s.guarding.loose...)
		h.guardings = append(h.guardings, guardedProject{dir, began, s.guarding})
	}
	if !project {
		return nil
	}
	// Another hard link is the same file under a name that no pattern matches.
	for _, f := range h.Found {
		if f.Links > 1 && !f.Dir && policy.Within(f.Path, dir) {
			linked[f.ID] = f.Path
		}
	}
	if len(linked) == 0 {
		return nil
	}
	again := scan{dir: dir, limit: linkLimit, look: forLinks, links: linked, deep: true, buf: h.searchBuf}
	if err := again.run(); err != nil {
		return err
	}
	return h.take(&again)
}

// expect has LookAgain tell of what the policy would have read-only in the project, if it
// were there: nothing holds an optional entry whose file comes to be later.
func (h *Facts) expect(p *policy.Policy, dir string, g *guarding) {
	for _, s := range p.Files.Read {
		e := policy.ParsePath(s)
		if f, ok := h.Files[e.Name]; ok && e.Optional && f.Missing() && e.Name != dir && policy.Within(e.Name, dir) {
			g.name(e.Name, guarded{})
		}
	}
}

// sockets is how many names are looked at to find sockets.
func (h *Facts) sockets() int {
	if h.learns {
		return learnLimit
	}
	return socketLimit
}

// limit is how many names are looked at in a project.
func (h *Facts) limit() int {
	if h.searchLimit > 0 {
		return h.searchLimit
	}
	return SearchLimit
}

// linked are the files that the policy hides by path and that have other hard links.
func (h *Facts) linked(p *policy.Policy) map[ns.ID]string {
	list := make(map[ns.ID]string)
	for _, s := range p.Files.Hide {
		name := policy.ParsePath(s).Name
		if f := h.Files[name]; f.Mode == unix.S_IFREG && f.Links > 1 {
			list[f.ID()] = name
		}
	}
	return list
}

// take records what the search has found, and what it could not look at: that is
// hidden, too.
func (h *Facts) take(s *scan) error {
	unsearched := 0
	// A link and the search itself may come upon the same file.
	have := make(map[string]ns.ID, len(h.Found))
	for _, f := range h.Found {
		have[f.Path] = f.ID
	}
	found := func(f Found) {
		if id, ok := have[f.Path]; !ok || id != f.ID {
			have[f.Path] = f.ID
			h.Found = append(h.Found, f)
		}
	}
	for _, d := range s.all() {
		for _, f := range d.found {
			found(f)
		}
		h.Sockets = append(h.Sockets, d.live...)
		cover := Found{Path: path.Join(s.dir, d.rel), Dir: true, ID: d.id}
		// Sockets alone are looked for in it, or it is shown whatever else is in it.
		shown := s.look&forSockets != 0 && (d.look&asShown != 0 || d.look&(forSecrets|forGuarded) == 0)
		switch {
		case d.state == unread && (s.look == forSockets || shown):
			if d.own || d.enters { // those in it could be called by their names
				h.Sockets = append(h.Sockets, cover)
			}
		case d.state == unread && d.own && d.look&asShown == 0:
			// The target could make it readable. One of another user's it cannot read either.
			cover.Unread, cover.Why = true, "it cannot be searched"
			found(cover)
		case d.state == unfinished && (s.look == forSockets || shown):
			h.SearchTruncatedAt = s.dir
		case d.state == unfinished && s.look == forLinks:
			return &NeedError{
				Reason: NotWritable,
				What: fmt.Sprintf("look in %s for other names of hidden files: more than %d files", text.Quote(s.dir),
					s.limit),
				Fix: "give the file one name only: cp -p FILE FILE.new && mv FILE.new FILE",
			}
		case d.state == unfinished && d.look&asShown == 0:
			cover.Unsearched, cover.Why = true, "it was not searched"
			found(cover)
			unsearched++
		}
		if s.guarding.on {
			s.guarding.take(s.dir, d)
		}
	}
	if unsearched > mostUnsearched {
		return &NeedError{
			Reason: Impossible,
			What: fmt.Sprintf("look for secrets to hide in %s: after %d files, %d directories are left", text.Quote(s.dir),
				s.limit, unsearched),
			Fix: "start in a smaller directory, or show what is large whatever is in it: --show DIR",
		}
	}
	return nil
}

func identity(st *unix.Stat_t) ns.ID {
	return ns.ID{Major: unix.Major(st.Dev), Minor: unix.Minor(st.Dev), Ino: st.Ino}
}
