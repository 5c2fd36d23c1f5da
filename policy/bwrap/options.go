package bwrap

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"sbx/internal/text"
	"sbx/policy/capability"
)

// option is an option of bubblewrap's, with how many values it takes.
type option struct {
	name   string
	values int
	// take reads the values. Nil: what the option asks for is so in any case.
	take func(r *reader, v []string) error
	// last says that of several ones the last counts.
	last bool
}

// options are those of bubblewrap's manual, in its order, and --dry-run, which is ours.
func options() []option {
	list := allOptions()
	for i := range list {
		list[i].last = slices.Contains(lastCounts[:], list[i].name)
	}
	return list
}

// lastCounts are the options of which the last one counts.
var lastCounts = [...]string{
	"--chdir", "--exec-label", "--file-label", "--sync-fd", "--block-fd", "--userns-block-fd", "--info-fd",
	"--json-status-fd", "--seccomp", "--userns", "--userns2", "--pidns", "--uid", "--gid", "--hostname",
}

func allOptions() []option {
	return []option{
		{name: "--help", values: 0, take: func(r *reader, _ []string) error { r.line.Help = true; return nil }},
		{name: "--version", values: 0, take: func(r *reader, _ []string) error { r.line.Version = true; return nil }},
		{name: "--dry-run", values: 0, take: func(r *reader, _ []string) error { r.line.DryRun = true; return nil }},
		{name: "--args", values: 1, take: (*reader).args},
		{name: "--argv0", values: 1, take: func(r *reader, v []string) error {
			if r.line.Argv0 != nil {
				return words("--argv0 used multiple times")
			}
			r.line.Argv0 = &v[0]
			return nil
		}},
		{name: "--level-prefix", values: 0, take: func(r *reader, _ []string) error {
			r.line.LevelPrefix = true
			return nil
		}},
		{name: "--not-a-security-boundary", values: 0, take: nil},
		{name: "--unshare-all", values: 0, take: unshare("user", "ipc", "pid", "net", "uts", "cgroup")},
		{name: "--share-net", values: 0, take: func(r *reader, _ []string) error { r.namespaces["net"] = false; return nil }},
		{name: "--unshare-user", values: 0, take: unshare("user")},
		{name: "--unshare-user-try", values: 0, take: unshare("user")},
		{name: "--unshare-ipc", values: 0, take: unshare("ipc")},
		{name: "--unshare-pid", values: 0, take: unshare("pid")},
		{name: "--unshare-net", values: 0, take: unshare("net")},
		{name: "--unshare-uts", values: 0, take: unshare("uts")},
		{name: "--unshare-cgroup", values: 0, take: unshare("cgroup")},
		{name: "--unshare-cgroup-try", values: 0, take: unshare("cgroup")},
		{name: "--userns", values: 1, take: join("user")},
		{name: "--userns2", values: 1, take: cannot("sbx enters one user namespace alone")},
		{name: "--disable-userns", values: 0, take: func(r *reader, _ []string) error {
			r.noUsers = true
			return nil
		}},
		{name: "--assert-userns-disabled", values: 0, take: func(r *reader, _ []string) error {
			r.noUsers = true
			return nil
		}},
		{name: "--pidns", values: 1, take: join("pid")},
		{name: "--uid", values: 1, take: func(r *reader, v []string) (err error) {
			r.uid, err = number("uid", v[0])
			return err
		}},
		{name: "--gid", values: 1, take: func(r *reader, v []string) (err error) {
			r.gid, err = number("gid", v[0])
			return err
		}},
		{name: "--hostname", values: 1, take: func(r *reader, v []string) error { r.hostname = v[0]; return nil }},
		{name: "--chdir", values: 1, take: func(r *reader, v []string) error { r.line.Dir = inside(v[0]); return nil }},
		{name: "--clearenv", values: 0, take: func(r *reader, _ []string) error {
			r.line.Clear, r.line.Set, r.line.Unset = true, nil, nil
			return nil
		}},
		{name: "--setenv", values: 2, take: (*reader).setenv},
		{name: "--unsetenv", values: 1, take: (*reader).unsetenv},
		{name: "--lock-file", values: 1, take: func(r *reader, v []string) error {
			r.line.Locks = append(r.line.Locks, inside(v[0]))
			return nil
		}},
		{name: "--sync-fd", values: 1, take: only(func(l *Line) *[]int { return &l.Sync })},
		{name: "--bind", values: 2, take: bind(write, false)},
		{name: "--bind-try", values: 2, take: bind(write, true)},
		{name: "--dev-bind", values: 2, take: bind(device, false)},
		{name: "--dev-bind-try", values: 2, take: bind(device, true)},
		{name: "--ro-bind", values: 2, take: bind(read, false)},
		{name: "--ro-bind-try", values: 2, take: bind(read, true)},
		{name: "--bind-fd", values: 2, take: bindFD(write)},
		{name: "--ro-bind-fd", values: 2, take: bindFD(read)},
		{name: "--remount-ro", values: 1, take: (*reader).remount},
		{name: "--overlay-src", values: 1, take: (*reader).overlaySource},
		{name: "--overlay", values: 3, take: (*reader).overlay},
		{name: "--tmp-overlay", values: 1, take: (*reader).tmpOverlay},
		{name: "--ro-overlay", values: 1, take: (*reader).readOverlay},
		{name: "--exec-label", values: 1, take: func(r *reader, v []string) error { r.label = v[0]; return nil }},
		{name: "--file-label", values: 1, take: cannot("labeling is not supported: sbx labels no files")},
		{name: "--proc", values: 1, take: system("/proc")},
		{name: "--dev", values: 1, take: system("/dev")},
		{name: "--tmpfs", values: 1, take: (*reader).tmpfs},
		{name: "--mqueue", values: 1, take: (*reader).mqueue},
		{name: "--dir", values: 1, take: (*reader).directory},
		{name: "--file", values: 2, take: content(true, "0666")},
		{name: "--bind-data", values: 2, take: content(true, "0600")},
		{name: "--ro-bind-data", values: 2, take: content(false, "0600")},
		{name: "--symlink", values: 2, take: (*reader).symlink},
		{name: "--seccomp", values: 1, take: func(r *reader, v []string) (err error) {
			if r.stacked {
				return words("--seccomp cannot be combined with --add-seccomp-fd")
			}
			n, err := descriptor(v[0])
			r.line.Filters = []int{n}
			return err
		}},
		{name: "--add-seccomp-fd", values: 1, take: func(r *reader, v []string) error {
			if r.given["--seccomp"] {
				return words("--add-seccomp-fd cannot be combined with --seccomp")
			}
			r.stacked = true
			return add(func(l *Line) *[]int { return &l.Filters })(r, v)
		}},
		{name: "--block-fd", values: 1, take: only(func(l *Line) *[]int { return &l.Block })},
		{name: "--userns-block-fd", values: 1, take: only(func(l *Line) *[]int { return &l.UsersBlock })},
		{name: "--info-fd", values: 1, take: only(func(l *Line) *[]int { return &l.Info })},
		{name: "--json-status-fd", values: 1, take: only(func(l *Line) *[]int { return &l.Status })},
		{name: "--new-session", values: 0, take: func(r *reader, _ []string) error { r.session = true; return nil }},
		{name: "--die-with-parent", values: 0, take: func(r *reader, _ []string) error {
			r.line.DieWithParent = true
			return nil
		}},
		{name: "--as-pid-1", values: 0, take: func(r *reader, _ []string) error {
			r.line.First = true
			r.lose("--as-pid-1: the program is not process 1, which stays sbx's init")
			return nil
		}},
		{name: "--cap-add", values: 1, take: func(r *reader, v []string) error { return r.caps.change(v[0], true) }},
		{name: "--cap-drop", values: 1, take: func(r *reader, v []string) error { return r.caps.change(v[0], false) }},
		{name: "--perms", values: 1, take: (*reader).perms},
		{name: "--size", values: 1, take: (*reader).sized},
		{name: "--chmod", values: 2, take: (*reader).chmod},
	}
}

func unshare(kinds ...string) func(*reader, []string) error {
	return func(r *reader, _ []string) error {
		for _, k := range kinds {
			r.namespaces[k] = true
		}
		return nil
	}
}

// join takes the descriptor of a namespace to enter.
func join(kind string) func(*reader, []string) error {
	return func(r *reader, v []string) error {
		n, err := descriptor(v[0])
		if err == nil {
			r.join = append(r.join, joined{kind, n})
		}
		return err
	}
}

// joined is a namespace to enter.
type joined struct {
	kind string
	fd   int
}

func cannot(why string) func(*reader, []string) error {
	return func(*reader, []string) error { return errors.New("this cannot be had: " + why) }
}

// add takes one more descriptor of a list.
func add(list func(*Line) *[]int) func(*reader, []string) error {
	return func(r *reader, v []string) error {
		n, err := descriptor(v[0])
		if err == nil {
			l := list(r.line)
			*l = append(*l, n)
		}
		return err
	}
}

// only takes a descriptor in the place of one that was given before.
func only(list func(*Line) *[]int) func(*reader, []string) error {
	return func(r *reader, v []string) error {
		*list(r.line) = nil
		return add(list)(r, v)
	}
}

// args reads further options from a descriptor.
func (r *reader) args(v []string) error {
	n, err := descriptor(v[0])
	if err != nil {
		return err
	}
	data, err := r.descriptor(n)
	if err != nil {
		return words("Can't read --args data: %v", err)
	}
	list := strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
	if len(data) == 0 {
		list = nil
	}
	return r.read(list, false)
}

func (r *reader) contents(s string) ([]byte, error) {
	n, err := descriptor(s)
	if err != nil {
		return nil, err
	}
	data, err := r.descriptor(n)
	if err != nil {
		return nil, fmt.Errorf("read descriptor %d: %w", n, err)
	}
	return data, nil
}

// descriptor is all that a descriptor has.
func (r *reader) descriptor(n int) ([]byte, error) {
	if r.options.Read == nil {
		return nil, errors.New("there is none to read from")
	}
	return r.options.Read(n)
}

func (r *reader) setenv(v []string) error {
	if v[0] == "" || strings.Contains(v[0], "=") {
		return fmt.Errorf("%s is no name of a variable", text.Quote(v[0]))
	}
	if err := r.unsetenv(v); err != nil {
		return err
	}
	r.line.Unset = r.line.Unset[:len(r.line.Unset)-1]
	r.line.Set = append(r.line.Set, v[0]+"="+v[1])
	return nil
}

func (r *reader) unsetenv(v []string) error {
	r.line.Set = slices.DeleteFunc(r.line.Set, func(s string) bool { return strings.HasPrefix(s, v[0]+"=") })
	r.line.Unset = append(r.line.Unset, v[0])
	return nil
}

// perms and sized are for the next operation alone.
func (r *reader) perms(v []string) error {
	if r.mode != "" {
		return words("--perms given twice for the same action")
	}
	n, err := octal("--perms", v[0])
	r.mode = fmt.Sprintf("%04o", n)
	return err
}

func octal(option, s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > 0o7777 {
		return 0, words("%s takes an octal argument <= 07777", option)
	}
	return uint32(n), nil
}

func (r *reader) sized(v []string) error {
	if r.size != "" {
		return words("--size given twice for the same action")
	}
	n, err := strconv.ParseUint(v[0], 10, 64)
	if errors.Is(err, strconv.ErrRange) || n > math.MaxInt64 {
		return words("--size (for tmpfs) is limited to %d", math.MaxInt64)
	}
	if err != nil || n == 0 {
		return words("--size takes a non-zero number of bytes")
	}
	r.size = v[0]
	return nil
}

// nextMode takes what --perms says of this operation, nextSize what --size does.
func (r *reader) nextMode() (mode string) {
	mode, r.mode = r.mode, ""
	return mode
}

func (r *reader) nextSize() (size string) {
	size, r.size = r.size, ""
	return size
}

// capabilities are what --cap-add and --cap-drop leave, in their order.
type capabilities struct {
	used bool
	all  bool
	kept []string
}

func (c *capabilities) change(name string, keep bool) error {
	c.used = true
	short := strings.TrimPrefix(strings.ToLower(name), "cap_")
	switch {
	case name == "ALL":
		c.all, c.kept = keep, nil
		return nil
	case !slices.Contains(capability.Names(), short):
		return words("unknown cap: %s", text.Quote(name))
	case c.all && !keep:
		c.all = false
		for _, k := range capability.Names() {
			if k != short {
				c.kept = append(c.kept, k)
			}
		}
	case c.all:
	default:
		c.kept = slices.DeleteFunc(c.kept, func(k string) bool { return k == short })
		if keep {
			c.kept = append(c.kept, short)
		}
	}
	return nil
}
