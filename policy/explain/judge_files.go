package explain

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy"
	"sbx/policy/seccomp"
)

// Place is a path inside and what it is, in the words of --dry-run --tree: read-only,
// writable, tmpfs, hidden and so on. It holds for all below it that have no Place of
// their own.
type Place struct {
	Path, Is string
	// NoExec says that nothing can be executed there. To is where a link leads.
	NoExec bool
	To     string
}

// maxSiblings is how many files of one directory are told one by one.
const maxSiblings = 4

// files judges the paths that the run could not use.
func (j *Judge) files(list []File) (out []Item) {
	places := make(map[string]Place, len(j.Places))
	for _, p := range j.Places {
		places[p.Path] = p
	}
	byDir := map[string][]int{}
	for _, f := range list {
		item, ok := j.file(f, places)
		if !ok || joins(out, item) {
			continue
		}
		key := path.Dir(f.Path) + "\x00" + item.Why + "\x00" + item.Answer + "\x00" + item.Harmless
		byDir[key] = append(byDir[key], len(out))
		out = append(out, item)
	}
	drop := map[int]bool{}
	for _, at := range byDir {
		if len(at) <= maxSiblings || out[at[0]].Allow == "" {
			continue
		}
		first := &out[at[0]]
		dir := path.Dir(first.path)
		first.Call = short(dir) + fmt.Sprintf(" (%d files in it)", len(at))
		first.Allow, _, _ = strings.Cut(first.Allow, " ")
		first.Allow += " " + text.Quote(dir)
		for _, i := range at[1:] {
			first.Count += out[i].Count
			drop[i] = true
		}
	}
	kept := out[:0]
	for i, item := range out {
		if !drop[i] {
			kept = append(kept, item)
		}
	}
	return kept
}

// joins adds the item to one that says the same of the same path.
func joins(list []Item, item Item) bool {
	for i := range list {
		x := &list[i]
		if x.Call != item.Call || x.Why != item.Why || x.Answer != item.Answer {
			continue
		}
		x.Count += item.Count
		if strings.HasPrefix(item.Allow, "--write ") {
			x.Allow, x.Against, x.Harmless = item.Allow, item.Against, item.Harmless
		}
		return true
	}
	return false
}

// deepest is what the path is inside.
func deepest(places map[string]Place, name string) Place {
	for {
		if p, ok := places[name]; ok || name == "/" || name == "." {
			return p
		}
		name = path.Dir(name)
	}
}

// file judges one path. ok is false for one that could not be used without the sandbox
// either.
func (j *Judge) file(f File, places map[string]Place) (item Item, ok bool) {
	p := deepest(places, f.Path)
	item = Item{
		What: "file", Call: short(f.Path), Name: f.Call, Answer: seccomp.ErrnoName(int(f.Answer)),
		Exe: text.OneLine(Redact(f.Exe)), PID: f.PID, Count: f.Count, path: f.Path,
	}
	if strings.HasPrefix(f.Path, "/proc/") {
		return item, j.kernelFile(f, p, &item)
	}
	if f.Cause != Plain {
		return item, j.cause(f, places, &item)
	}
	real, exists := j.Host(f.Path)
	leads := ""
	if exists && real != f.Path && shows(p) && unix.Errno(f.Answer) == unix.ENOENT {
		// A link that is shown, and leads to where nothing is.
		leads = "it is a link to " + short(real) + "; "
		p = deepest(places, real)
	} else {
		real = f.Path
	}
	missing := unix.Errno(f.Answer) == unix.ENOENT || unix.Errno(f.Answer) == unix.ENOTDIR
	if missing && shows(p) {
		return item, false // it was made later, or is gone
	}
	item.Where = j.entryAt(p)
	show := real
	switch errno := unix.Errno(f.Answer); {
	case p.Is == "hidden":
		item.Why = "hidden"
		if p.Path != f.Path {
			item.Why = "hidden with " + text.Quote(p.Path)
		}
		item.Against = "what is hidden mostly holds secrets"
		return item, exists
	case errno == unix.EROFS:
		item.Why = "read-only here"
		if p.Path != "" && p.Path != f.Path {
			item.Why += ", as " + text.Quote(p.Path) + " is"
		}
		if f.Access == Makes && !exists {
			show = path.Dir(f.Path)
			if _, exists = j.Host(show); !exists {
				return item, false // there is no such directory on the host either
			}
		}
	case missing:
		if f.Access == Makes && !exists {
			show = path.Dir(f.Path)
			if _, exists = j.Host(show); !exists || show == "/" {
				return item, false
			}
		}
		if !exists {
			return item, false
		}
		item.Why = "it is on the host, and the policy does not show it"
		if show != real {
			item.Why = "its directory is on the host, and the policy does not show it"
		}
		if p.Is == "tmpfs" {
			item.Why = "it is on the host, under the empty tmpfs at " + text.Quote(p.Path)
		}
		item.Why = leads + item.Why
	default:
		return item, false
	}
	if f.Access != Looks && !j.mayWrite(show, real) {
		return item, false // nor on the host
	}
	item.Harmless = j.harmlessFile(f)
	j.offer(f, p, show, real, &item)
	return item, true
}

// mayWrite says whether the caller could write to the file on the host, or make or replace it in
// its directory. show is the file, or its directory where there is none.
func (j *Judge) mayWrite(show, real string) bool {
	return j.May == nil || j.May(show, unix.W_OK) || show == real && j.May(path.Dir(real), unix.W_OK)
}

// kernelFile is a file of /proc that is no process's: what it says, or sets, is about the machine.
func (j *Judge) kernelFile(f File, p Place, item *Item) bool {
	switch _, exists := j.Host(f.Path); {
	case f.Cause == Plain && unix.Errno(f.Answer) == unix.EROFS:
		item.Why = "read-only here: what is written there changes the whole machine"
	case !exists:
		return false
	case p.Is == "hidden":
		item.Why = "hidden here: it tells of others, or of the kernel's memory"
	case f.Cause == Plain && unix.Errno(f.Answer) == unix.ENOENT:
		item.Why = "no sandbox's /proc has it: it is about the whole machine"
		if f.Access == Looks {
			item.Harmless = "programs ask what the machine has, and take a default"
		}
	default:
		return false
	}
	item.Against = "do it outside"
	return true
}

// offer writes down the flag that shows a path, and what speaks against it. real is the
// file that the program wants, and p what is at it.
func (j *Judge) offer(f File, p Place, show, real string, item *Item) {
	flag := "--read"
	if f.Access != Looks {
		flag = "--write"
	}
	item.Allow, item.Flag = flag+" "+text.Quote(show), true
	switch {
	case show == real && j.Device != nil && j.Device(real):
		item.Allow = "--device " + text.Quote(show)
		if f.Opens {
			item.Harmless = "" // it wants this one
		}
	case show == real && j.Socket != nil && j.Socket(real):
		item.Allow = "--socket " + text.Quote(show) // to see it is not to connect to it
	case flag == "--write" && path.Base(p.Path) == ".git" && slices.Contains(j.Policy.Files.Guard, "**/.git"):
		// Not --write .git, which opens hooks and settings as well.
		item.Allow = "--policy commit"
	}
	item.Against = j.inList(againstText, "path", show)
	switch {
	case item.Against != "":
	case j.secret(show):
		item.Against = "files of that name hold secrets"
	case flag == "--write" && system(show):
		item.Against = "it belongs to the machine, and other programs use it"
	}
}

// shows says that the place has the host's files.
func shows(p Place) bool { return p.Is == "read-only" || p.Is == "writable" || p.Is == "overlay" }

// secret says whether the policy, or one that hides secrets, hides files of such a name
// wherever it finds them.
func (j *Judge) secret(name string) bool {
	for _, pattern := range j.Policy.Files.Hide {
		pattern = strings.TrimPrefix(strings.TrimPrefix(pattern, "?"), "**/")
		if strings.Contains(pattern, "/") {
			continue
		}
		for part := range strings.SplitSeq(name, "/") {
			if match, err := path.Match(pattern, part); err == nil && match {
				return true
			}
		}
	}
	return false
}

// system says whether the path is one of the machine's and not of a user's.
func system(name string) bool {
	return slices.ContainsFunc([]string{"/usr", "/etc", "/bin", "/sbin", "/lib", "/lib64", "/boot", "/var/lib", "/opt",
		"/run", "/var/run", "/var/log", "/var/spool", "/var/cache"},
		func(dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") })
}

// harmlessFile is why a file that is missing or read-only does not matter, or "".
func (j *Judge) harmlessFile(f File) string {
	if f.Access != Looks && (strings.HasSuffix(f.Path, ".pyc") || strings.Contains(f.Path, "/__pycache__")) {
		return "Python keeps no compiled file"
	}
	return cmp.Or(j.inList(harmlessText, "file", f.Path), j.inList(harmlessText, "contents", f.Path))
}

// entryAt is the line of the policy that makes the place what it is, or "".
func (j *Judge) entryAt(p Place) string {
	if j.Source == nil || p.Path == "" {
		return ""
	}
	f := j.Source.Files
	for _, l := range [...]struct {
		key  string
		list []string
	}{{"files.hide", f.Hide}, {"files.read", f.Read}, {"files.write", f.Write}, {"files.tmpfs", f.Tmpfs}} {
		if (l.key == "files.hide") != (p.Is == "hidden") {
			continue
		}
		for _, entry := range l.list {
			name := strings.NewReplacer("${HOME}", j.Home, "${CWD}", j.Dir).Replace(strings.TrimPrefix(entry, "?"))
			switch {
			case name == "~" || strings.HasPrefix(name, "~/"):
				name = path.Join(j.Home, name[1:])
			case name == "." || strings.HasPrefix(name, "./"):
				name = path.Join(j.Dir, name)
			}
			match := name == p.Path
			if l.key == "files.hide" && !match {
				match, _ = path.Match(strings.TrimPrefix(name, "**/"), path.Base(p.Path))
			}
			if o, ok := j.Source.Origin(l.key, entry); match && ok {
				return origin(o)
			}
		}
	}
	return ""
}

// origin is the line as a report shows it.
func origin(o policy.Origin) string {
	name := strings.TrimPrefix(o.Policy, "embedded:")
	if !strings.Contains(name, "/") && !strings.HasSuffix(name, ".toml") {
		name += ".toml"
	}
	return fmt.Sprintf("%s:%d", name, o.Line)
}
