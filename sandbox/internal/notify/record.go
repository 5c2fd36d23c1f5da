package notify

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/sys"
	"sbx/policy/explain"
	"sbx/policy/seccomp"
)

// A hostile target can have anything denied, as often and in as many ways as it likes.
const (
	maxDenials = 1000  // kinds of them are kept
	maxLooks   = 20000 // calls are looked at closely; later ones are only counted
	maxText    = 1024  // bytes of a string are kept
	pageSize   = 4096
)

// key is what makes two denied calls one kind.
type key struct {
	audit, number uint32
	action        seccomp.Action
	filter        int
	args          [6]uint64
	text          [6]string
	exe           string
}

// coarseKey is what makes two calls one kind when they are no longer looked at closely.
type coarseKey struct {
	audit, number uint32
	action        seccomp.Action
	filter        int
}

// note records the call that was asked about last. by is the filter that denies it.
func (l *Listener) note(action seccomp.Action, by int) {
	r := &l.request
	k := key{audit: r.Audit, number: r.Number, action: action, filter: by}
	closely := l.looked < maxLooks
	if closely {
		l.looked++
		k.exe = l.exe()
		k.args, k.text = l.arguments()
		if !l.valid() {
			// The process is gone, and what was read may be another's.
			k.exe, k.text = "", [6]string{}
		}
	}
	if l.events.tell != nil {
		l.tell(k)
	}
	l.record.Coarse = l.record.Coarse || !closely
	if d := l.coarse[k.coarse()]; d != nil && !closely {
		d.Count++
		return
	}
	if d := l.denials[k]; d != nil {
		d.Count++
		return
	}
	if len(l.order) >= maxDenials {
		l.record.Dropped++
		return
	}
	d := l.denial(k)
	l.denials[k] = d
	if l.coarse[k.coarse()] == nil {
		l.coarse[k.coarse()] = d
	}
	l.order = append(l.order, d)
}

// arguments are what of the call's arguments is worth a look.
func (l *Listener) arguments() (args [6]uint64, text [6]string) {
	r := &l.request
	for i, p := range l.paramsOf(r.Audit, r.Number) {
		switch p.Kind {
		case explain.Path, explain.Text:
			text[i] = l.text(r.Args[i])
		case explain.Address:
			if i+1 < len(r.Args) {
				text[i] = l.address(r.Args[i], r.Args[i+1])
			}
		case explain.CloneArgs:
			if b := l.read(r.Args[i], 8, false); len(b) == 8 && r.Audit == seccomp.Native().Audit() {
				text[i] = explain.Namespaces(binary.NativeEndian.Uint64(b), seccomp.Native())
			}
		case explain.Flags, explain.Choice, explain.Open, explain.Mode, explain.Hex, explain.Clone, explain.Signal,
			explain.Request:
			args[i] = r.Args[i]
		}
	}
	return args, text
}

// denial is the call that was asked about last.
func (l *Listener) denial(k key) *explain.Denial {
	r := &l.request
	d := &explain.Denial{Number: r.Number, Args: r.Args, Text: k.text, Answer: k.action, Exe: k.exe, Count: 1}
	d.Arch, _ = seccomp.LookupArch(r.Audit, r.Number)
	if k.filter >= 0 {
		d.Filter = l.names[k.filter]
	}
	if _, pid := l.pids(); l.valid() {
		d.PID = pid
	}
	return d
}

func (k key) coarse() coarseKey { return coarseKey{k.audit, k.number, k.action, k.filter} }

// Record is what was denied so far.
func (l *Listener) Record() explain.Record {
	out := l.record
	out.Untold = l.events.untold
	for _, d := range l.order {
		out.Denials = append(out.Denials, *d)
	}
	for _, f := range l.files.order {
		out.Files = append(out.Files, *f)
	}
	for _, a := range l.attemptOrder {
		out.Attempts = append(out.Attempts, *a)
	}
	return out
}

// paramsOf are the arguments of a call that are worth a look.
func (l *Listener) paramsOf(audit, number uint32) []explain.Param {
	at := number<<2 ^ audit
	list, ok := l.params[at]
	if ok || len(l.params) > maxDenials {
		return list
	}
	if arch, ok := seccomp.LookupArch(audit, number); ok {
		if call, ok := seccomp.SyscallByNumber(arch, number); ok {
			list, _ = explain.Params(call.Name())
		}
	}
	list = list[:min(len(list), 6)]
	l.params[at] = list
	return list
}

// exe is the program that the one who asks executes, as its path is inside.
func (l *Listener) exe() string {
	if l.request.PID == 0 {
		return "" // in a pid namespace that is not below ours
	}
	if exe := l.asks().exe; exe != "" {
		return exe
	}
	b := l.memory[:maxText]
	n, err := unix.Readlink(l.proc("exe"), b)
	if err != nil {
		return ""
	}
	exe := string(b[:n])
	if l.files.seen != nil && l.native() && l.valid() { // then execve(2) is observed
		l.who.exe = exe
	}
	return exe
}

func (l *Listener) proc(file string) string {
	return "/proc/" + strconv.Itoa(int(l.request.PID)) + "/" + file
}

// pids are the process of the thread that asks, as the launcher sees it, and its pid
// inside. 0 is one that cannot be read.
func (l *Listener) pids() (process, inside int) {
	status, err := sys.ReadFile(l.proc("status"))
	if err != nil {
		return 0, 0
	}
	return field(status, "Tgid:", 10), field(status, "NStgid:", 10)
}

// field is the last number in a line of /proc/PID/status.
func field(status, name string, base int) int {
	_, rest, ok := strings.Cut(status, "\n"+name)
	if !ok {
		return 0
	}
	line, _, _ := strings.Cut(rest, "\n")
	words := strings.Fields(strings.TrimSuffix(line, " kB"))
	if len(words) == 0 {
		return 0
	}
	n, err := strconv.ParseUint(words[len(words)-1], base, 64)
	if err != nil {
		return 0
	}
	return int(n)
}

// read copies memory of the one who asks, up to a page's end at a time, so that what
// lies before memory that is not there is read. It is shorter where that ends, or, if
// asked, with the first zero byte.
func (l *Listener) read(addr uint64, most int, toZero bool) []byte {
	most = min(most, len(l.memory))
	got := 0
	for l.request.PID != 0 && got < most {
		at := addr + uint64(got)
		n := min(most-got, int(pageSize-at%pageSize))
		local := []unix.Iovec{{Base: &l.memory[got]}}
		local[0].SetLen(n)
		remote := []unix.RemoteIovec{{Base: uintptr(at), Len: n}}
		n, err := unix.ProcessVMReadv(int(l.request.PID), local, remote, 0)
		if err != nil || n <= 0 {
			break
		}
		got += n
		if toZero && bytes.IndexByte(l.memory[got-n:got], 0) >= 0 {
			break
		}
	}
	return l.memory[:got]
}

// text is the string at an address, or "" where it cannot be read.
func (l *Listener) text(addr uint64) string {
	return string(l.bytes(addr))
}

// bytes is text in a buffer that is used again.
func (l *Listener) bytes(addr uint64) []byte {
	if addr == 0 {
		return nil
	}
	b, _, _ := bytes.Cut(l.read(addr, maxText, true), []byte{0})
	return b
}
