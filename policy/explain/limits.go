package explain

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"sbx/internal/text"
	"sbx/policy"
)

// Forks are the calls that make processes, and fail where there are as many as there may be.
var Forks = [...]string{"fork", "vfork", "clone"}

// limits judges those that were reached.
func (j *Judge) limits(names []string) (out []Item) {
	for _, name := range names {
		item := Item{Name: name, Count: 1}
		if j.limit(name, &item) {
			out = append(out, item)
		}
	}
	return out
}

// limit is a limit of the policy that was reached. Without a call it has ended the program, or
// kept it from starting processes.
func (j *Judge) limit(name string, item *Item) bool {
	value, _ := policy.Optional(limitValue(&j.Policy.Limits, name))
	if value == "" {
		return false
	}
	item.What, item.Flag = "limit", true
	item.Answer = map[string]string{"processes": "EAGAIN", "open_files": "EMFILE", "tmp": "ENOSPC"}[name]
	if name == "memory" && item.Call != "" {
		item.Answer = "ENOMEM" // no cgroup ends it for that
	}
	item.Answer = cmp.Or(item.Answer, "killed")
	limit := "limit " + name + " = " + text.Quote(value)
	item.Why = limit + " was reached"
	if item.Call == "" {
		item.Call = limit
		item.Why = "the program was ended for it"
		if item.Answer != "killed" {
			item.Why = "what would have gone over it failed"
		}
		if name == "tmp" {
			item.Why = "a tmpfs is full, and what is written to it fails"
		}
	}
	item.Allow = "--limit " + name + "=" + double(value)
	if j.Source != nil {
		if o, ok := j.Source.Origin("limits."+name, ""); ok {
			item.Where = origin(o)
		}
	}
	return true
}

// limitValue is the policy's limit of that name.
func limitValue(l *policy.Limits, name string) string {
	for _, x := range [...]struct{ name, value string }{
		{"processes", l.Processes}, {"memory", l.Memory}, {"time", l.Time}, {"cpu_time", l.CPUTime},
		{"file_size", l.FileSize}, {"open_files", l.OpenFiles}, {"tmp", l.Tmp},
	} {
		if x.name == name {
			return x.value
		}
	}
	return ""
}

// double is twice the value, which has a unit behind it.
func double(value string) string {
	end := strings.IndexFunc(value, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(value)
	}
	n, err := strconv.ParseUint(value[:end], 10, 62)
	if err != nil {
		return value
	}
	return strconv.FormatUint(2*n, 10) + value[end:]
}

// outside is a signal or a tracer for a process that is not in the sandbox.
func (j *Judge) outside(a Attempt, item *Item) bool {
	item.What, item.Call, item.Flag = "signal", cmp.Or(a.Said, a.Call), false
	if a.Call == "ptrace" {
		item.What = "ptrace"
	}
	item.Answer = "EPERM"
	item.Why = "process " + a.Address + " is not in the sandbox, and its programs reach no others"
	if j.Policy.Namespaces.PID == "new" {
		item.Answer = "ESRCH"
		item.Why = fmt.Sprintf("process %s is one of the host's, and the sandbox has pids of its own", a.Address)
	}
	if j.Source != nil {
		if o, ok := j.Source.Origin("namespaces.pid", ""); ok {
			item.Where = origin(o)
		}
	}
	item.Against = "nothing in a sandbox reaches the processes outside"
	return true
}
