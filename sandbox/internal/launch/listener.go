package launch

import (
	"golang.org/x/sys/unix"

	"sbx/policy/explain"
	"sbx/policy/seccomp"
	"sbx/sandbox/internal/notify"
	"sbx/sandbox/internal/plan"
)

// newListener is what answers the calls that the plan's filter asks about, or nil.
func newListener(p *plan.Plan) (*notify.Listener, error) {
	if len(p.Explained) == 0 {
		return nil, nil
	}
	var filters []notify.Filter
	for _, f := range p.Explained {
		name := f.Filter.Name
		if f.Own {
			name = ""
		}
		filters = append(filters, notify.Filter{Name: name, Program: seccomp.Program(f.Filter.Program),
			SetID: f.SetID})
	}
	l, err := notify.New(filters, p.Observed, p.ObservesFiles)
	if err == nil && p.Learns {
		l.Learn()
	}
	return l, err
}

// listenerSource are the calls that the target is denied.
type listenerSource struct{ ps *Process }

func (s listenerSource) fds(list []unix.PollFd) ([]unix.PollFd, int) {
	l := s.ps.listener
	if l == nil {
		return list, -1
	}
	if fd := l.FD(); fd >= 0 {
		list = append(list, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	return list, l.Timeout()
}

// ready ends the sandbox where a call cannot be answered: it would wait for ever.
func (s listenerSource) ready(list []unix.PollFd) (bool, error) {
	l := s.ps.listener
	if l == nil {
		return false, nil
	}
	err := l.Execute()
	if err == nil && len(list) > 0 {
		err = l.Serve(list[0].Revents)
	}
	return false, err
}

// explained is what was denied in all.
func (ps *Process) explained() *explain.Record {
	var failed error
	if !ps.listener.Attached() {
		_, failed = ps.readControl() // it was quick
	}
	r := ps.listener.Record()
	switch {
	case failed != nil:
		r.Why = failed.Error()
	case !ps.listener.Attached():
		r.Why = "the filter's listener did not come: the process that hands it over was ended before"
	}
	ps.explainHosts(&r)
	return &r
}
