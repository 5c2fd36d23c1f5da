package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// plan is what `sbx --dry-run --json` says.
type plan struct {
	Namespaces []string
	Steps      []struct{ In, Step, Kind string }
}

// beside is bubblewrap's line for what the plan that such a line of sbx prints does, with the
// filters that it loads.
func (b *runner) beside(dryRun []string) (p plan, bwrap []string, filters [][]byte, err error) {
	out, err := b.output(dryRun...)
	if err != nil {
		return p, nil, nil, err
	}
	if err := json.Unmarshal([]byte(out), &p); err != nil {
		return p, nil, nil, fmt.Errorf("the plan: %w", err)
	}
	if filters, err = b.filters(); err != nil {
		return p, nil, nil, err
	}
	bwrap, err = bubblewrap(p, b.target, len(filters))
	return p, bwrap, filters, err
}

// contenders are sbx and those that can do the same.
func (b *runner) contenders(c benchCase) ([]contender, error) {
	flags := append([]string{b.sbx}, c.flags...)
	flags = append(flags, "--read", b.target)
	p, bwrap, filters, err := b.beside(append(append([]string{}, flags...), "--dry-run", "--json", "--", b.target))
	if err != nil {
		return nil, err
	}
	landlock := 0
	for _, s := range p.Steps {
		if strings.HasPrefix(s.Kind, "landlock-") {
			landlock++
		}
	}
	list := []contender{
		{name: "bare", args: []string{b.target}, note: "the target alone"},
		{name: "sbx", args: append(flags, "--", b.target),
			note: fmt.Sprintf("also %d Landlock steps, read-back, an init of its own", landlock)},
		{name: "bwrap", args: bwrap, files: filters, note: "the same namespaces, mounts and filter"},
	}
	if !c.others {
		return list, nil
	}
	for _, x := range []contender{
		{name: "sbx, no namespaces", args: []string{"--no-namespaces"},
			note: "Landlock and filters alone, read-back, an init of its own"},
		{name: "sbx --exec, no namespaces", args: []string{"--no-namespaces", "--exec"},
			note: "the same, executed in place: no init"},
	} {
		x.args = append(append(append([]string{b.sbx}, x.args...), flags[1:]...), "--", b.target)
		if _, err := b.output(x.args...); err != nil {
			fmt.Fprintf(os.Stderr, "bench: %s does not run here and is left out: %v\n", x.name, err)
			continue
		}
		list = append(list, x)
	}
	for _, o := range []contender{
		{name: "firejail", args: []string{"firejail", "--quiet", "--noprofile", "--net=none", "--caps.drop=all",
			"--seccomp", "--nonewprivs", "--private-dev"}, note: "its nearest; set-uid root, no user namespace"},
		{name: "nsjail", args: []string{"nsjail", "-Mo", "-Q", "--disable_clone_newcgroup", "--chroot", "/", "--"},
			note: "its nearest; no filter"},
		{name: "minijail0", args: []string{"minijail0", "-U", "-m", "-M", "-p", "-v", "-l", "-N", "-e", "-n", "--"},
			note: "its nearest; no filter"},
		{name: "landrun", args: []string{"landrun", "--rox", "/"}, note: "Landlock only; no namespaces, no filter"},
	} {
		if path, err := exec.LookPath(o.args[0]); err == nil {
			o.args[0] = path
			o.args = append(o.args, b.target)
			if _, err := b.output(o.args...); err != nil {
				fmt.Fprintf(os.Stderr, "bench: %s does not run here and is left out: %v\n", o.name, err)
				continue
			}
			list = append(list, o)
		}
	}
	return list, nil
}

// bubblewrap says the same in its words. Steps that it has no word for, or
// does of itself, are left out: they are in its favour.
func bubblewrap(p plan, target string, filters int) ([]string, error) {
	path, err := exec.LookPath("bwrap")
	if err != nil {
		return nil, err
	}
	args := []string{path, "--die-with-parent", "--cap-drop", "ALL"}
	for _, ns := range p.Namespaces {
		switch ns {
		case "user", "pid", "net", "ipc", "uts", "cgroup":
			args = append(args, "--unshare-"+ns)
		case "mount", "mnt": // always
		default:
			return nil, fmt.Errorf("no word of bwrap's for a new %s namespace", ns)
		}
	}
	dev := false
	for _, s := range p.Steps {
		rest, isBind := strings.CutPrefix(s.Step, "bind ")
		switch {
		case isBind:
			rest = strings.TrimSuffix(rest, ", no exec")
			var word, src string
			for suffix, flag := range map[string]string{" read-only": "--ro-bind", " writable": "--bind", " as a device": ""} {
				if s, ok := strings.CutSuffix(rest, suffix); ok {
					word, src = flag, s
				}
			}
			src, dest, ok := strings.Cut(src, " at ")
			if !ok {
				dest = src
			}
			if word == "" { // a device: --dev has them all
				if !dev {
					args = append(args, "--dev", "/dev")
					dev = true
				}
				continue
			}
			args = append(args, word, src, dest)
		case s.Kind == "mount-tmpfs":
			_, rest, _ := strings.Cut(s.Step, " at ")
			where, _, _ := strings.Cut(rest, ",")
			if where != "/dev" && where != "/dev/shm" {
				args = append(args, "--tmpfs", where)
			}
		case s.Kind == "symlink":
			words := strings.Fields(s.Step)
			at := words[len(words)-1]
			if !strings.HasPrefix(at, "/dev/") && !strings.HasPrefix(at, "/proc/") {
				link, err := os.Readlink(at)
				if err == nil {
					args = append(args, "--symlink", link, at)
				}
			}
		case s.Kind == "mount-proc":
			args = append(args, "--proc", "/proc")
		}
	}
	args = append(args, "--remount-ro", "/")
	for i := range filters {
		args = append(args, "--add-seccomp-fd", strconv.Itoa(3+i))
	}
	return append(args, "--", target), nil
}
