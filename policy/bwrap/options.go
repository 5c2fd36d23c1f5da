package bwrap

import (
	"errors"
	"fmt"
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
}

// options are those of bubblewrap's manual, in its order, and --dry-run, which is ours.
func options() []option {
	return []option{
		{"--help", 0, func(r *reader, _ []string) error { r.line.Help = true; return nil }},
		{"--version", 0, func(r *reader, _ []string) error { r.line.Version = true; return nil }},
		{"--dry-run", 0, func(r *reader, _ []string) error { r.line.DryRun = true; return nil }},
		{"--args", 1, (*reader).args},
		{"--argv0", 1, func(r *reader, v []string) error { r.argv0 = &v[0]; return nil }},
		{"--level-prefix", 0, nil},
		{"--unshare-all", 0, unshare("user", "ipc", "pid", "net", "uts", "cgroup")},
		{"--share-net", 0, func(r *reader, _ []string) error { r.namespaces["net"] = false; return nil }},
		{"--unshare-user", 0, unshare("user")},
		{"--unshare-user-try", 0, unshare("user")},
		{"--unshare-ipc", 0, unshare("ipc")},
		{"--unshare-pid", 0, unshare("pid")},
		{"--unshare-net", 0, unshare("net")},
		{"--unshare-uts", 0, unshare("uts")},
		{"--unshare-cgroup", 0, unshare("cgroup")},
		{"--unshare-cgroup-try", 0, unshare("cgroup")},
		{"--userns", 1, join("user")},
		{"--userns2", 1, cannot("sbx enters one user namespace alone")},
		{"--disable-userns", 0, func(r *reader, _ []string) error { r.noUsers = true; return nil }},
		{"--assert-userns-disabled", 0, func(r *reader, _ []string) error { r.noUsers = true; return nil }},
		{"--pidns", 1, join("pid")},
		{"--uid", 1, func(r *reader, v []string) (err error) { r.uid, err = number(v[0]); return err }},
		{"--gid", 1, func(r *reader, v []string) (err error) { r.gid, err = number(v[0]); return err }},
		{"--hostname", 1, func(r *reader, v []string) error { r.hostname = v[0]; return nil }},
		{"--chdir", 1, func(r *reader, v []string) error { r.line.Dir = inside(v[0]); return nil }},
		{"--clearenv", 0, func(r *reader, _ []string) error {
			r.line.Clear, r.line.Set, r.line.Unset = true, nil, nil
			return nil
		}},
		{"--setenv", 2, (*reader).setenv},
		{"--unsetenv", 1, (*reader).unsetenv},
		{"--lock-file", 1, func(r *reader, v []string) error {
			r.line.Locks = append(r.line.Locks, inside(v[0]))
			return nil
		}},
		{"--sync-fd", 1, add(func(l *Line) *[]int { return &l.Sync })},
		{"--bind", 2, bind(write, false)},
		{"--bind-try", 2, bind(write, true)},
		{"--dev-bind", 2, bind(device, false)},
		{"--dev-bind-try", 2, bind(device, true)},
		{"--ro-bind", 2, bind(read, false)},
		{"--ro-bind-try", 2, bind(read, true)},
		{"--bind-fd", 2, bindFD(write)},
		{"--ro-bind-fd", 2, bindFD(read)},
		{"--remount-ro", 1, (*reader).remount},
		{"--overlay-src", 1, (*reader).overlaySource},
		{"--overlay", 3, (*reader).overlay},
		{"--tmp-overlay", 1, (*reader).tmpOverlay},
		{"--ro-overlay", 1, (*reader).readOverlay},
		{"--exec-label", 1, func(r *reader, v []string) error { r.label = v[0]; return nil }},
		{"--file-label", 1, cannot("sbx labels no files")},
		{"--proc", 1, system("/proc")},
		{"--dev", 1, system("/dev")},
		{"--tmpfs", 1, (*reader).tmpfs},
		{"--mqueue", 1, (*reader).mqueue},
		{"--dir", 1, (*reader).directory},
		{"--file", 2, content(true)},
		{"--bind-data", 2, content(true)},
		{"--ro-bind-data", 2, content(false)},
		{"--symlink", 2, (*reader).symlink},
		{"--seccomp", 1, func(r *reader, v []string) (err error) {
			n, err := descriptor(v[0])
			r.line.Filters = []int{n}
			return err
		}},
		{"--add-seccomp-fd", 1, add(func(l *Line) *[]int { return &l.Filters })},
		{"--block-fd", 1, add(func(l *Line) *[]int { return &l.Block })},
		{"--userns-block-fd", 1, cannot("sbx maps the ids itself; --uid and --gid choose them")},
		{"--info-fd", 1, add(func(l *Line) *[]int { return &l.Info })},
		{"--json-status-fd", 1, add(func(l *Line) *[]int { return &l.Status })},
		{"--new-session", 0, func(r *reader, _ []string) error { r.session = true; return nil }},
		{"--die-with-parent", 0, nil},
		{"--as-pid-1", 0, func(r *reader, _ []string) error {
			r.lose("--as-pid-1: the program is not process 1, which stays sbx's init")
			return nil
		}},
		{"--cap-add", 1, func(r *reader, v []string) error { return r.caps.change(v[0], true) }},
		{"--cap-drop", 1, func(r *reader, v []string) error { return r.caps.change(v[0], false) }},
		{"--perms", 1, (*reader).perms},
		{"--size", 1, (*reader).sized},
		{"--chmod", 2, (*reader).chmod},
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

// args reads further options from a descriptor.
func (r *reader) args(v []string) error {
	data, err := r.contents(v[0])
	if err != nil {
		return err
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
	if r.options.Read == nil {
		return nil, errors.New("there is no descriptor to read from")
	}
	data, err := r.options.Read(n)
	if err != nil {
		return nil, fmt.Errorf("read descriptor %d: %w", n, err)
	}
	return data, nil
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
	n, err := strconv.ParseUint(v[0], 8, 32)
	if err != nil || n > 0o7777 {
		return fmt.Errorf("%s is no mode in octal", text.Quote(v[0]))
	}
	r.mode = fmt.Sprintf("%04o", n)
	return nil
}

func (r *reader) sized(v []string) error {
	n, err := strconv.ParseUint(v[0], 10, 63)
	if err != nil || n == 0 {
		return fmt.Errorf("%s is no number of bytes", text.Quote(v[0]))
	}
	r.size = v[0]
	return nil
}

// next takes what --perms and --size say of this operation.
func (r *reader) next() (mode, size string) {
	mode, size = r.mode, r.size
	r.mode, r.size = "", ""
	return mode, size
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
		return fmt.Errorf("there is no capability %s", text.Quote(name))
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
