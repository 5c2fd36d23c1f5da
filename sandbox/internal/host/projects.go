package host

import (
	"fmt"
	"slices"

	"sbx/policy"
)

// findAll looks for secrets and sockets, and records both.
func (h *Facts) findAll(p *policy.Policy, tree *policy.Tree, t Target) error {
	projects := h.projects(tree, t)
	h.masksSockets = h.SocketRestriction(p, t) == SocketsByMask
	for _, dir := range projects {
		if err := h.findHidden(p, dir, true); err != nil {
			return err
		}
	}
	if h.SocketRestriction(p, t) != SocketsByMask {
		return nil
	}
	for _, dir := range h.ShownDirs(tree) {
		if slices.Contains(h.socketsSeen, dir) {
			continue
		}
		if err := h.findHidden(p, dir, false); err != nil {
			return fmt.Errorf("look for sockets: %w", err)
		}
	}
	return nil
}

// projects are the directories in which secrets are looked for.
func (h *Facts) projects(tree *policy.Tree, t Target) []string {
	var list []string
	add := func(dir string) {
		if dir != "" && !slices.Contains(list, dir) {
			list = append(list, dir)
		}
	}
	if t.Project != "" && tree.At(t.Project).Kind.FromHost() {
		add(t.Project)
	}
	for _, s := range t.Shown {
		f := h.Files[policy.ParsePath(s).Name]
		if f.Dir() && policy.ProjectDir(f.Real, t.Home) != "" && tree.At(f.Real).Kind.FromHost() {
			add(f.Real)
		}
	}
	mapped := false
	for _, e := range tree.Entries {
		if e.Options.From == "" {
			continue
		}
		mapped = true
		if f := h.Files[e.Options.From]; f.Dir() && policy.ProjectDir(f.Real, t.Home) != "" {
			add(f.Real)
		}
	}
	if t.Project != "" && mapped {
		add(h.Origin(tree, t.Project, true)) // what is shown in its place
	}
	slices.Sort(list)
	return list
}
