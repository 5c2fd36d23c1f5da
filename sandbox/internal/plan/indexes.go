package plan

import (
	"fmt"
	"strings"

	"sbx/internal/text"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// keptBack says whether a variable that says where packages come from holds
// credentials, and no flag, no file and no rule for all variables names it: the
// shipped policies list such variables for the address alone.
func keptBack(p *policy.Policy, t host.Target, name, value string) bool {
	if !host.IndexVariable(name) || !host.HoldsCredentials(name, value) || crosses(t.Passed, name) {
		return false
	}
	for _, rule := range p.Process.Env {
		o, _ := p.Origin("process.env", rule)
		written := strings.Contains(o.Policy, "/") // in a file, not in a shipped policy
		if (written || rule == "*") && crosses([]string{rule}, name) {
			return false
		}
	}
	return true
}

// noteIndexes says which settings of a private index the target does not have, if it
// has a network: by those that it has then, it asks a public one.
func (d *decisions) noteIndexes(p *policy.Policy, h *host.Facts) {
	if d.ns.new&ns.Net != 0 && len(p.Network.Hosts) == 0 {
		return
	}
	if len(d.keptBack) > 0 {
		d.note("not handed over, though they say where packages come from: " + strings.Join(d.keptBack, ", ") +
			" (without them a public index is asked; --env " + strings.Join(d.keptBack, " --env ") +
			" hands over, credentials too)")
	}
	var files []string
	for _, f := range h.Indexes {
		visible := p.Files.Shows(f)
		if d.tree != nil {
			visible = d.tree.At(f).Kind.FromHost()
		}
		if !visible {
			files = append(files, text.Quote(f))
		}
	}
	const most = 6
	if more := len(files) - most; more > 0 {
		files = append(files[:most], fmt.Sprintf("%d more", more))
	}
	if len(files) > 0 {
		d.note("not shown, though a private index of packages is named there: " + strings.Join(files, ", ") +
			" (without it a public one is asked; --read " + files[0] + " shows that, credentials too)")
	}
}
