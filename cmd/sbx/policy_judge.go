package main

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/sandbox"
)

// judged is the result of a line and why.
type judged struct{ result, why string }

// judge says whether line i holds.
func (x *trialRun) judge(i int) judged {
	e, a := x.list[i], x.attempts[i]
	if i >= len(x.outcomes) {
		return judged{untried, "the program that tries things was ended before"}
	}
	o := x.outcomes[i]
	switch {
	case a.Verb == "nothing" && e.Verb == "syscall":
		return judged{untried, "this machine has no such system call or constant"}
	case a.Verb == "nothing":
		return judged{untried, "a variable in it has no value here"}
	case e.Verb == "limit":
		return x.judgeLimit(e, o)
	case o.Untried != "":
		return judged{untried, o.Untried}
	case e.Verb == "syscall":
		return x.judgeCall(e, a, o)
	case o.Signal != 0:
		if e.Deny && o.Signal == unix.SIGSYS {
			return judged{holds, "the filter ends the process"}
		}
		return judged{fails, "the process that tried was ended by " + unix.SignalName(o.Signal)}
	case slices.Contains([]string{"connect", "bind", "resolve"}, e.Verb):
		return x.judgeNetwork(e, a, o)
	case x.isPath(e.Verb):
		return x.judgePath(i, e, a, o)
	}
	return plain(e, o)
}

// plain is the result where works and denied are all that there is.
func plain(e policy.Expectation, o sandbox.Outcome) judged {
	why := o.Detail
	if why == "" && o.Errno != 0 {
		why = o.Errno.Error()
	}
	if o.Works == !e.Deny {
		return judged{holds, why}
	}
	what := "it works"
	if !e.Deny {
		what = "it does not work"
	}
	if why != "" {
		what += ": " + why
	}
	return judged{fails, what}
}

func (x *trialRun) isPath(verb string) bool {
	return slices.Contains([]string{"read", "write", "create", "exec", "device"}, verb)
}

// judgePath knows that what is not there on the host can be neither used nor denied,
// where it would be shown.
func (x *trialRun) judgePath(i int, e policy.Expectation, a sandbox.Attempt, o sandbox.Outcome) judged {
	absent := o.Errno == unix.ENOENT || o.Errno == unix.ENOTDIR
	switch {
	case e.Deny && o.Works && o.Made && x.missing[i] && x.guarded(a.Object):
		return judged{untried, "it is not there, and the policy guards what is; it could be made, and sbx would say so"}
	case !o.Works && absent && x.nowhere[i] && (!e.Deny || x.fromHost(a.Object)):
		return judged{untried, "it is not there on this host"}
	}
	return plain(e, o)
}

// fromHost says whether the sandbox shows the host's files at a path.
func (x *trialRun) fromHost(name string) bool {
	return x.plan.Tree == nil || x.plan.Tree.At(name).Kind.FromHost()
}

// guarded says whether a pattern of the policy's guard means the path, or one above it
// in the project.
func (x *trialRun) guarded(name string) bool {
	below, ok := strings.CutPrefix(name, strings.TrimSuffix(x.project, "/")+"/")
	if !ok || x.project == "" {
		return false
	}
	f := &x.plan.Policy.Files
	for i, part := range strings.Split(below, "/") {
		means := func(pattern string) bool {
			bare, deep := strings.CutPrefix(pattern, "**/")
			match, err := path.Match(strings.TrimSuffix(bare, "/"), part)
			return err == nil && match && (deep || i == 0)
		}
		if slices.ContainsFunc(f.Guard, means) && !slices.ContainsFunc(f.Unguard, means) {
			return true
		}
	}
	return false
}

// judgeNetwork tells what the sandbox refuses from what the peer and the machine do.
func (x *trialRun) judgeNetwork(e policy.Expectation, a sandbox.Attempt, o sandbox.Outcome) judged {
	own := x.plan.OwnNetwork()
	socket := strings.ContainsAny(a.Object[:1], "/@")
	switch {
	case own && !socket && o.Works && e.Verb == "bind" && e.Deny:
		return judged{fails, "it works, in the sandbox's own network"}
	case own || socket || o.Works || o.Errno == unix.EAFNOSUPPORT && x.noSockets():
		return plain(e, o)
	}
	switch o.Errno {
	case unix.ECONNREFUSED, unix.ECONNRESET, unix.ETIMEDOUT:
		if e.Verb == "resolve" {
			return judged{untried, "no name server answers: " + o.Errno.Error()}
		}
		return plain(e, sandbox.Outcome{Works: true, Detail: "nobody accepts there, but the sandbox does not refuse it: " +
			o.Errno.Error()})
	case unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EADDRNOTAVAIL, unix.EAFNOSUPPORT:
		return judged{untried, "this machine has no way there: " + o.Errno.Error()}
	}
	return plain(e, o)
}

// noSockets says whether the filters refuse all sockets of the internet, as they do without
// a network where no namespace is made. The kernel could have said the same.
func (x *trialRun) noSockets() bool {
	for _, family := range [...]uint64{unix.AF_INET, unix.AF_INET6} {
		for _, kind := range [...]uint64{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
			if x.filtered(unix.SYS_SOCKET, [6]uint64{family, kind}) == unix.SECCOMP_RET_ALLOW {
				return false
			}
		}
	}
	return true
}

// judgeCall compares what the call returned with what the filters answer: what the
// kernel says by itself about arguments that mean nothing is no refusal.
func (x *trialRun) judgeCall(e policy.Expectation, a sandbox.Attempt, o sandbox.Outcome) judged {
	ret := x.filtered(uint32(a.Number), a.Args)
	answer := unix.Errno(0)
	if ret&unix.SECCOMP_RET_ACTION_FULL == unix.SECCOMP_RET_ERRNO {
		answer = unix.Errno(ret & unix.SECCOMP_RET_DATA)
	}
	byFilter := o.Signal == unix.SIGSYS || !o.Works && answer != 0 && o.Errno == answer
	if byFilter && e.Deny {
		return judged{holds, ""}
	}
	if byFilter {
		why := "the filter denies it"
		if answer != 0 {
			why += ": " + answer.Error()
		}
		return judged{fails, why}
	}
	switch refused := o.Errno == unix.EPERM || o.Errno == unix.EACCES || o.Errno == unix.ENOSYS; {
	case e.Deny && refused:
		return judged{holds, "the kernel refuses it: " + o.Errno.Error()}
	case !e.Deny && o.Errno == unix.ENOSYS:
		return judged{untried, "this kernel has no such system call"}
	case !e.Deny:
		return judged{result: holds}
	case o.Errno != 0:
		return judged{fails, "it reaches the kernel, which says: " + o.Errno.Error()}
	}
	return judged{fails, "it works"}
}

// judgeLimit compares the process's own limits, and for others what enforces them.
func (x *trialRun) judgeLimit(e policy.Expectation, o sandbox.Outcome) judged {
	name, bound, bounded := strings.Cut(e.Object, " ")
	value := ""
	switch {
	case o.Untried == "" && o.Works && name == "cpu_time":
		value = (time.Duration(min(o.Value, 1<<33)) * time.Second).String()
	case o.Untried == "" && o.Works && name != "processes":
		value = strconv.FormatUint(o.Value, 10)
	case name != "open_files" && name != "file_size" && name != "core" && name != "cpu_time":
		value = x.enforced(name)
	}
	within := value != ""
	if within && bounded {
		most, err := policy.LimitWithin(name, value, bound)
		if err != nil {
			return judged{fails, err.Error()}
		}
		within = most
	}
	said := "there is no such limit in force"
	if value != "" {
		said = fmt.Sprintf("the limit in force is %s", value)
	}
	if within == !e.Deny {
		return judged{holds, said}
	}
	return judged{fails, said}
}

// enforced is the value of a limit that the plan enforces by a cgroup, a timer or a
// mount; "" if there is none.
func (x *trialRun) enforced(name string) string {
	l := &x.plan.Policy.Limits
	value := map[string]string{"processes": l.Processes, "memory": l.Memory, "cpu": l.CPU, "io": l.IO, "time": l.Time,
		"tmp": l.Tmp}[name]
	value, _ = policy.Optional(value)
	if value == "none" || slices.ContainsFunc(x.plan.Notes, func(n string) bool {
		return strings.HasPrefix(n, "limits."+name+" is not enforced")
	}) {
		return ""
	}
	return value
}
