package bwrap

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"sbx/internal/text"
	"sbx/policy"
)

// Names in /dev: ownDevices are in each sandbox's, and noDevices are no devices.
var (
	ownDevices = []string{"null", "zero", "full", "random", "urandom", "tty", "pts", "ptmx", "fd", "stdin", "stdout",
		"stderr", "core", "console"}
	noDevices = []string{"shm", "mqueue", "hugepages", "log"}
)

// DevicesOf are the devices among what is in the host's /dev, and the directories with some, as
// Options takes them. What else lies there is no device.
func DevicesOf(entries []fs.DirEntry) []string {
	var list []string
	for _, e := range entries {
		known := slices.Contains(ownDevices, e.Name()) || slices.Contains(noDevices, e.Name())
		if !known && (e.IsDir() || e.Type()&fs.ModeDevice != 0) {
			list = append(list, "?/dev/"+e.Name())
		}
	}
	return list
}

// bound is what an option shows of the host at a path inside; nil: nothing. Of the host's /proc
// and /dev the sandbox's own stand for what each has, as the host's would show its processes and
// terminals, and open a way to them.
func (r *reader) bound(k kind, from, name string, optional bool) *node {
	n := &node{kind: k, from: from, optional: optional}
	at, below := strings.CutPrefix(from, "/dev/")
	top, _, _ := strings.Cut(at, "/")
	switch known := slices.Contains(ownDevices, top) || slices.ContainsFunc(r.options.Devices, func(d string) bool {
		return policy.Within(from, strings.TrimPrefix(d, "?"))
	}); {
	case from == "/proc" && from == name, from == "/dev" && from == name && k != device:
		return &node{kind: own}
	case !below:
	case slices.Contains(noDevices, top):
		if k == device {
			n.kind = write
		}
	case from == name && slices.Contains(ownDevices, top):
		return &node{kind: own}
	case k == device && slices.Contains([]string{"pts", "ptmx", "console", "tty"}, top):
		n.kind = write // the host's terminals: the launch refuses them
	case k == device || !known:
	case from == "/dev/null" && !policy.Within(name, "/dev"): // the usual way to cover a file
		r.lose("%s is an empty file, and no device", text.Quote(name))
		return &node{kind: file, mode: "0444"}
	default:
		r.lose("%s is not there: bubblewrap shows a device that cannot be opened", text.Quote(name))
		return nil
	}
	return n
}

// ownDev gives the sandbox a /dev of its own where the line shows devices without --dev.
func (r *reader) ownDev() error {
	for name, n := range r.root {
		if name == "/dev" || !policy.Within(name, "/dev") || n.kind != own && (n.kind != device || n.from != name) {
			continue
		}
		dev := r.root["/dev"]
		switch {
		case dev == nil, dev.kind == private, dev.kind == made:
			r.lose("/dev is one of the sandbox's own, with what each has")
			r.root["/dev"] = &node{kind: own}
		case dev.from != "" && dev.from != "/dev":
			return fmt.Errorf("%s: this cannot be had: sbx shows devices in a /dev of the sandbox's own alone", text.Quote(name))
		}
		return nil
	}
	return nil
}
