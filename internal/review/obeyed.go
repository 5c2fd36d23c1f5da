package review

import "slices"

// markObeyed marks what other programs run or obey by themselves. Of a new directory its
// contents are not marked besides. pair is that of the change's directory, or nil.
func (t *tree) markObeyed(p *pair, c *Change, name string) {
	switch {
	case t.r.Obeyed == nil, c.none(), c.Kind == Deleted, c.Kind == Times, c.Refused != "":
		return
	case t.obeyed != "" && within(c.Path, t.obeyed):
		return
	case t.r.Obeyed(t.root, c.Path, c.Type == "directory"), p != nil && p.repository(c, name):
		c.Obeyed = true
		if c.Kind == Added && c.descend {
			t.obeyed = c.Path
		}
	}
}

// repository says that git takes the directory for a repository, whose settings it obeys,
// by what is new in it.
func (p *pair) repository(c *Change, name string) bool {
	if c.Kind == Mode || name != "HEAD" {
		return false
	}
	has := func(name string) bool {
		_, there, err := statOrNone(p.low, name)
		return there && err == nil || slices.Contains(p.names, name)
	}
	return has("commondir") || has("objects") && has("refs")
}
