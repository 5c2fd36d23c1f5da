package plan

import (
	"fmt"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/fallbackfilter"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/process"
)

// decideFilters decides which seccomp filters are loaded.
func (d *decisions) decideFilters(
	p *policy.Policy, t host.Target, h *host.Facts, programs []seccomp.Program, decoded filters,
) {
	flags := filterFlags(p)
	d.decideSetID(p, t, h, decoded)
	d.fallback = append(d.fallback, d.groupFilter(h, flags)...)
	d.fallback = append(d.fallback, d.bareFilters(p, t, h, flags)...)
	if !d.noNet {
		d.fallback = append(d.fallback, d.socketFilter(p, t, h, decoded, flags)...)
	}
	d.fallback = append(d.fallback, d.fileFilter(p, h, flags)...)
	if d.sharesPIDNS {
		d.fallback = append(d.fallback, fallback(fallbackfilter.OwnProcess, flags))
	}
	if d.shown().NothingWrittenRuns() {
		d.fallback = append(d.fallback, fallback(fallbackfilter.MemoryPrograms, flags))
	}
	for _, f := range d.handed.filters() {
		d.fallback = append(d.fallback, fallback(f, flags))
	}
	for i, f := range programs {
		name := p.Name
		if len(programs) > 1 {
			name = fmt.Sprintf("%s/%d", p.Name, i+1)
		}
		s := process.Seccomp{Name: name, Program: string(f), Flags: flags}
		s.ByPrctl = i > 0 && flags == 0 && !decoded[:i].allow(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER)
		d.filters = append(d.filters, s)
	}
	d.verifySeccomp = decoded.allow(unix.SYS_PRCTL, unix.PR_GET_SECCOMP)
}

func filterFlags(p *policy.Policy) int {
	f := 0
	if policy.IsTrue(p.Seccomp.Log) {
		f |= unix.SECCOMP_FILTER_FLAG_LOG
	}
	if policy.IsTrue(p.Seccomp.SpecAllow) {
		f |= unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
	}
	return f
}
