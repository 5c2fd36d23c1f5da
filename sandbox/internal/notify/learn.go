package notify

import (
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/policy/explain"
	"sbx/policy/learn"
	"sbx/policy/seccomp"
)

// How much of what a run does is kept. A hostile program can do anything in any number of
// ways.
const (
	maxClasses  = 4000 // kinds of calls
	maxSockets  = 2000
	maxPrograms = 2000
)

// learner records what a run does that is learnt from.
type learner struct {
	seen     learn.Seen
	numbers  map[uint32]*number
	calls    map[callKey]int // indexes of seen.Calls, and so on
	files    map[learntFile]int
	sockets  map[learn.Socket]int
	caps     map[string]int
	programs map[string]bool
	reached  map[reached]bool
	root     bool // root has started it
}

// number is what is known of a call by its number.
type number struct {
	name             string
	starts, credible bool
	addressed        bool              // connect, bind
	files            *explain.FileCall // nil: nothing is learnt of its paths
	classed          bool
	only             int // the index of the only class, if it is not classed; -1: not seen yet
}

type callKey struct {
	number uint32
	class  learn.Class
}

type learntFile struct {
	path   string
	access learn.Access
}

// Learn has all observed calls recorded to learn from, and no files judged.
func (l *Listener) Learn() {
	l.learner = &learner{
		numbers: map[uint32]*number{}, calls: map[callKey]int{}, files: map[learntFile]int{},
		sockets: map[learn.Socket]int{}, caps: map[string]int{}, programs: map[string]bool{}, reached: map[reached]bool{},
		root: unix.Geteuid() == 0,
	}
}

// Seen is what was learnt from so far, or nil.
func (l *Listener) Seen() *learn.Seen {
	if l.learner == nil {
		return nil
	}
	return &l.learner.seen
}

// learn records the call that was asked about last.
func (l *Listener) learn() {
	n := l.number()
	if n == nil {
		return
	}
	l.learnCall(n)
	if n.starts {
		l.learnProgram(l.exe())
	}
	if n.addressed {
		l.learnSocket(n.name)
	}
	if n.files != nil {
		l.learnFiles(n.files)
	}
	if n.credible {
		l.learnCapability(n.name)
	}
}

// number is what is known of the call, or nil for one that has no name.
func (l *Listener) number() *number {
	nr := l.request.Number
	n, ok := l.learner.numbers[nr]
	if ok {
		return n
	}
	if call, ok := seccomp.SyscallByNumber(seccomp.Native(), nr); ok {
		name := call.Name()
		n = &number{name: name, starts: learn.Starts(name), credible: explain.MayNeed(name),
			addressed: name == "connect" || name == "bind", classed: learn.Classed(name), only: -1}
		if learn.UsesFiles(name) {
			n.files = explain.LookupFileCall(name)
		}
	}
	l.learner.numbers[nr] = n
	return n
}

func (l *Listener) learnCall(n *number) {
	r, to := &l.request, &l.learner.seen
	if n.only >= 0 {
		to.Calls[n.only].Count++
		return
	}
	k := callKey{number: r.Number}
	if n.classed {
		k.class = learn.Classify(n.name, r.Args)
		if i, ok := l.learner.calls[k]; ok {
			to.Calls[i].Count++
			return
		}
	}
	if len(to.Calls) == maxClasses {
		to.Coarse = true
		return
	}
	by, ok := l.by()
	if !ok {
		return
	}
	l.learner.calls[k] = len(to.Calls)
	if !n.classed {
		n.only = len(to.Calls)
	}
	to.Calls = append(to.Calls, learn.Call{Name: n.name, Args: r.Args, Class: k.class, By: by})
}

// by is who asks. ok is false where nobody waits for the answer any more, so the call is
// not made.
func (l *Listener) by() (by learn.By, ok bool) {
	by = learn.By{Exe: l.exe(), Count: 1}
	return by, l.valid()
}

func (l *Listener) learnProgram(exe string) {
	if exe == "" || !l.valid() || l.learner.programs[exe] {
		return
	}
	if len(l.learner.programs) == maxPrograms {
		l.learner.seen.Coarse = true
		return
	}
	l.learner.programs[exe] = true
	l.learner.seen.Programs = append(l.learner.seen.Programs, strings.TrimSuffix(exe, " (deleted)"))
}

func (l *Listener) learnSocket(call string) {
	to := &l.learner.seen
	k := learn.Socket{Call: call, Address: l.address(l.request.Args[1], l.request.Args[2])}
	if k.Address == "" || !l.valid() {
		return
	}
	if i, ok := l.learner.sockets[k]; ok {
		to.Sockets[i].Count++
		return
	}
	if len(to.Sockets) == maxSockets {
		to.Coarse = true
		return
	}
	by, ok := l.by()
	if !ok {
		return
	}
	l.learner.sockets[k] = len(to.Sockets)
	k.By = by
	to.Sockets = append(to.Sockets, k)
	if call == "bind" && strings.HasPrefix(k.Address, "/") {
		l.learnFile(k.Address, learn.Makes)
	}
}

func (l *Listener) learnFiles(call *explain.FileCall) {
	l.args = call.Paths(l.args[:0], l.request.Args, l.how(call.Name()))
	for _, arg := range l.args {
		full := l.fullPath(arg)
		if full == "" {
			continue
		}
		access := learn.Looks
		switch {
		case arg.Asks:
		case arg.Access == explain.Writes:
			access = learn.Writes
		case arg.Access == explain.Makes:
			access = learn.Makes
		case arg.Opens:
			access = learn.Opens
		}
		l.learnFile(full, access)
	}
}

func (l *Listener) learnFile(name string, access learn.Access) {
	to := &l.learner.seen
	k := learntFile{name, access}
	if i, ok := l.learner.files[k]; ok {
		to.Files[i].Count++
		return
	}
	if len(to.Files) == maxFiles {
		to.Coarse = true
		return
	}
	by, ok := l.by()
	if !ok {
		return
	}
	l.learner.files[k] = len(to.Files)
	to.Files = append(to.Files, learn.File{Path: name, Access: access, By: by})
	l.learnAccess(name, access)
}

// learnCapability records the capability that the call takes, by the ids that the process
// has.
func (l *Listener) learnCapability(call string) {
	if name := l.needs(call); name != "" {
		l.noteCapability(name)
	}
}

func (l *Listener) noteCapability(name string) {
	to := &l.learner.seen
	if i, ok := l.learner.caps[name]; ok {
		to.Capabilities[i].Count++
		return
	}
	by, ok := l.by()
	if !ok {
		return
	}
	l.learner.caps[name] = len(to.Capabilities)
	to.Capabilities = append(to.Capabilities, learn.Capability{Name: name, By: by})
}

// ids are the four of a line of /proc/PID/status.
func ids(status, name string) (list [4]uint32) {
	_, rest, _ := strings.Cut(status, "\n"+name)
	line, _, _ := strings.Cut(rest, "\n")
	for i, word := range strings.Fields(line) {
		if i < len(list) {
			list[i] = parseID(word)
		}
	}
	return list
}

// parseID is an id of /proc/PID/status, or the id of nobody.
func parseID(word string) uint32 {
	id, err := strconv.ParseUint(word, 10, 32)
	if err != nil {
		return ^uint32(0)
	}
	return uint32(id)
}
