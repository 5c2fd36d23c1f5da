package rootfs

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// addDevices shows the devices that the policy names in the sandbox's own /dev. Each
// mount of one is without nodev, and a directory of devices is one mount.
func (t *Tree) addDevices() error {
	if len(t.policy.Files.Devices) > 0 && !policy.NotFalse(t.policy.Files.Dev) {
		return &host.NeedError{
			Reason: host.Conflict,
			What:   "show devices without a /dev of the sandbox's own: files.dev is false",
			Fix:    "take dev = false or devices out of the policy's [files]",
		}
	}
	for _, s := range t.policy.Files.Devices {
		x := policy.ParsePath(s)
		f, what := t.facts.Files[x.Name], text.Quote(x.Name)
		switch {
		case errors.Is(f.Err, host.Untrusted) && x.Optional:
			t.Notes = append(t.Notes, fmt.Sprintf("%s cannot be used: %v", what, f.Err))
			continue
		case f.Closed && x.Optional:
			continue // nor may the program reach it
		case f.Err != nil:
			return fmt.Errorf("show device %s: %w", what, f.Err)
		case f.Mode == 0 && x.Optional:
			continue
		case f.Mode == 0:
			return &host.MissingError{Path: x.Name}
		case !isDevice(f) && !f.Dir():
			return host.Refuse(host.WrongFile, "show device %s: it is neither a device file nor a directory", what)
		case !policy.Within(f.Real, "/dev") || path.Dir(f.Real) == "/dev" && slices.Contains(devNames[:], path.Base(f.Real)):
			return host.Refuse(host.WrongFile, "show device %s: it leads to %s, which is no device", what, text.Quote(f.Real))
		}
		t.nodes = slices.DeleteFunc(t.nodes, func(n Node) bool { return n.Path == x.Name })
		t.nodes = append(t.nodes, Node{Path: x.Name, Kind: Read, Source: f, Device: true})
	}
	t.addConsole()
	return nil
}

// addConsole shows the caller's terminal, which the target inherits, as /dev/console:
// its name on the host is one of the host's /dev/pts. ttyname(3) and tty(1) look in /dev
// for a file that is the same.
func (t *Tree) addConsole() {
	const name = "/dev/console"
	if f := t.facts.Files[t.facts.Terminal.Name]; f.Mode == unix.S_IFCHR && f.Err == nil && !t.named(name) {
		t.nodes = append(t.nodes, Node{Path: name, Kind: Read, Source: f, Device: true})
	}
}

func isDevice(f host.File) bool { return f.Mode == unix.S_IFCHR || f.Mode == unix.S_IFBLK }

// useless is an error if an entry that shows a file shows a device, or a directory of
// /dev: no mount but those of devices lets one be opened.
func (t *Tree) useless(n Node) error {
	own := policy.NotFalse(t.policy.Files.Dev) && inDev(n.Path)
	below := policy.Within(n.Source.Real, "/dev") && n.Source.Real != "/dev"
	system := slices.ContainsFunc([]string{"/dev/shm", "/dev/mqueue", "/dev/hugepages", "/dev/pts"},
		func(dir string) bool { return policy.Within(n.Source.Real, dir) })
	if own || !isDevice(n.Source) && (!below || !n.Source.Dir() || system) {
		return nil
	}
	what, fix := "a device", "let it be used with --device "+text.Quote(n.Path)+", or by the policy's files.devices"
	if n.Source.Dir() {
		what = "a directory of devices"
	}
	if !policy.Within(n.Path, "/dev") {
		fix = "devices can be used only in /dev: see --device"
	}
	return &host.NeedError{
		Reason: host.WrongFile,
		What:   fmt.Sprintf("show %s: it is %s, which nothing inside could open here", text.Quote(n.Path), what),
		Fix:    fix,
	}
}
