package explain

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
)

// cause judges a path that was there and could not be used, or not so. It is false where
// that would be the same without the sandbox, or is not certain.
func (j *Judge) cause(f File, places map[string]Place, item *Item) bool {
	p := deepest(places, f.Path)
	item.Where = j.entryAt(p)
	hidden := p.Is == "hidden" && (!j.Bare || item.Where != "")
	switch {
	case f.Cause == Mounted:
		return j.mounted(f, p, item)
	case hidden:
		item.Why = "hidden"
		if p.Path != f.Path {
			item.Why = "hidden with " + text.Quote(p.Path)
		}
		item.Against = "what is hidden mostly holds secrets"
		_, exists := j.Host(f.Path)
		return exists
	}
	switch f.Cause {
	case Modes:
		return j.modes(f, places, item)
	case NoExec:
		return j.noExec(f, p, item)
	case NoDevices:
		item.Why = "no device can be opened where the policy shows files"
		item.Allow, item.Flag = "--device "+text.Quote(f.Path), true
		return j.Device != nil && j.Device(f.Path)
	case Landlock:
		return j.landlock(f, p, item)
	case Across:
		return j.across(f, places, item)
	case ALink:
		real, exists := j.Host(f.Path)
		item.Why = "the sandbox has a symbolic link there, to " + short(p.To)
		return p.Is == "link" && !(exists && real != f.Path)
	case ASocket:
		item.Why = "the sandbox has a socket of its own there, to connect to"
		return p.Is == "socket" && (j.Socket == nil || !j.Socket(f.Path))
	case NoTerminal:
		return j.noTerminal(item)
	case Interpret:
		return j.interpreter(f, places, item)
	}
	return false
}

// modes are permissions that the caller is not kept out by, but the program: root has lost
// its capabilities.
func (j *Judge) modes(f File, places map[string]Place, item *Item) bool {
	at := cmp.Or(f.At, f.Path)
	bits, capability := uint32(f.Need), "dac_read_search"
	if f.At != "" {
		bits = unix.X_OK
		if f.Access == Makes && f.At == path.Dir(f.Path) {
			bits |= unix.W_OK
		}
	}
	if bits&unix.W_OK != 0 {
		capability = "dac_override"
	}
	if !shows(deepest(places, at)) || j.May == nil || !j.May(at, bits) || j.keeps(capability) {
		return false
	}
	item.Why = fmt.Sprintf("the permissions of %s (%#o, of user %d) keep the program's user out",
		text.Quote(at), f.Mode, f.Owner)
	if !j.Root {
		return true
	}
	item.Why = fmt.Sprintf("%s is user %d's (%#o), and root needs CAP_%s to pass over that", text.Quote(at), f.Owner,
		f.Mode, strings.ToUpper(capability))
	item.Where = ""
	item.Allow = fmt.Sprintf("capabilities = [%q] in [process]", capability)
	item.Against = "a program that passes over permissions reaches all that is shown, whoever it belongs to"
	return true
}

// noExec is a program in a place where nothing can be executed.
func (j *Judge) noExec(f File, p Place, item *Item) bool {
	item.Why = "the policy lets nothing be executed at " + text.Quote(p.Path) + ": exec = false in its files.path"
	item.Allow = fmt.Sprintf("path.%q = { exec = true } in [files]", p.Path)
	item.Against = "what the program writes there it could run"
	return p.NoExec
}

// landlock is a path of the host's mounts.
func (j *Judge) landlock(f File, p Place, item *Item) bool {
	at := cmp.Or(f.At, f.Path)
	switch {
	case f.Runs && p.NoExec:
		return j.noExec(f, p, item)
	case p.Is == "writable":
		item.Why = "nothing can be made, renamed or removed directly in " + text.Quote(at) +
			" without namespaces, since something there is hidden or read-only"
		return true
	case shows(p):
		item.Why = "read-only here, as " + text.Quote(p.Path) + " is"
	default:
		item.Why, item.Where = "the policy does not show it, and Landlock denies it", ""
	}
	if _, exists := j.Host(at); !exists {
		return false
	}
	item.Harmless = j.harmlessFile(f)
	j.offer(f, p, at, f.Path, item)
	return true
}

// mounted is a name that is to be removed or renamed, and has a mount of the sandbox's.
func (j *Judge) mounted(f File, p Place, item *Item) bool {
	if p.Path != f.Path || j.Mount == nil {
		return false // one that the program has made
	}
	if _, root := j.Mount(f.Path); root {
		return false
	}
	item.Why = "something of the sandbox is mounted there, so it cannot be removed or renamed"
	if p.Is == "hidden" {
		item.Why = "it is hidden by a mount, so it cannot be removed or renamed"
		item.Against = "what is hidden mostly holds secrets"
		return true
	}
	if dir := path.Dir(f.Path); p.Is == "writable" && j.below(dir) {
		item.Allow, item.Flag = "--write "+text.Quote(dir), true
	}
	return true
}

// below says that the path is neither the root nor the home, nor over it.
func (j *Judge) below(dir string) bool {
	return dir != "/" && dir != j.Home && !strings.HasPrefix(j.Home, dir+"/")
}

// across is a file that was to be renamed or linked from one mount to another, where the
// host has one.
func (j *Judge) across(f File, places map[string]Place, item *Item) bool {
	if j.Mount == nil || f.At == "" {
		return false
	}
	from, to := deepest(places, f.Path), deepest(places, f.At)
	a, _ := j.Mount(j.nearest(f.Path))
	b, _ := j.Mount(j.nearest(f.At))
	if a == 0 || a != b || from.Path == to.Path {
		return false
	}
	deeper := from
	if len(to.Path) > len(from.Path) {
		deeper = to
	}
	item.Call = short(f.Path) + " to " + short(f.At)
	item.Where = j.entryAt(deeper)
	item.Why = fmt.Sprintf("%s is a mount of its own here, %s, and no file is moved from one to another; "+
		"programs that copy then, as mv(1), do without", text.Quote(deeper.Path), deeper.Is)
	if from.Is == "tmpfs" || to.Is == "tmpfs" {
		item.Harmless = "private directories are file systems of their own, as /tmp is on many machines, and " +
			"programs copy then"
	}
	both := common(f.Path, f.At)
	if shows(from) && shows(to) && j.below(both) {
		item.Allow, item.Flag = "--write "+text.Quote(both), true
	}
	return true
}

// nearest is the directory of the path, or the one over it, that the host has.
func (j *Judge) nearest(name string) string {
	for name != "/" && name != "." {
		name = path.Dir(name)
		if _, exists := j.Host(name); exists {
			break
		}
	}
	return name
}

// common is the deepest directory that both paths lie in.
func common(a, b string) string {
	for dir := path.Dir(a); ; dir = path.Dir(dir) {
		if dir == "/" || dir == "." || strings.HasPrefix(b, dir+"/") {
			return dir
		}
	}
}

// noTerminal is /dev/tty where the program has no controlling terminal.
func (j *Judge) noTerminal(item *Item) bool {
	if !j.Terminal || j.Policy.Process.Terminal != "new-session" {
		return false
	}
	item.Why = "the policy gives the program a session without a terminal"
	if j.Source != nil {
		if o, ok := j.Source.Origin("process.terminal", ""); ok {
			item.Where = origin(o)
		}
	}
	item.Allow = `terminal = "pty" in [process]`
	return true
}

// interpreter is a program that is there, while what the kernel starts for it is not.
func (j *Judge) interpreter(f File, places map[string]Place, item *Item) bool {
	real, exists := j.Host(f.At)
	p := deepest(places, f.At)
	if !exists || shows(p) && real == f.At {
		return false
	}
	item.Where = j.entryAt(p)
	item.Why = "it takes the interpreter " + text.Quote(f.At) + ", which is on the host, and the policy does not show it"
	show := f.At
	if shows(p) {
		show = real // a link that is shown
	}
	j.offer(File{}, p, show, f.At, item)
	return true
}
