package systemd

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"sbx/policy"
	"sbx/policy/seccomp"
)

// Options say for what a unit is imported.
type Options struct {
	// Native is the machine's architecture.
	Native seccomp.Arch
	// Instance is that of a template (NAME@.service), or empty.
	Instance string
	// Lossy skips what sbx does not know in lists of system calls that are
	// allowed, and names it among the losses. Else it is an error.
	Lossy bool
	// Machine gives what the specifiers about the machine stand for: H, l, m,
	// b, v and those of os-release. Nil: they are errors.
	Machine func(specifier byte) (string, error)
}

// Import gives the policy that confines a program as the unit does, or more:
// never less, but for what losses name. Those are the settings that a policy
// cannot say, or says otherwise, one each. What is not understood is an
// *Error. Settings about when and what to run are no part of a policy and
// passed over.
//
// Where a unit says nothing a policy still refuses: privileges are never
// gained, namespaces (but the network's) are new, capabilities go unless the
// unit names those that stay, and so does the environment. notes say so.
func Import(file string, data []byte, o Options) (p *policy.Policy, losses, notes []string, err error) {
	settings, err := parseUnit(file, data)
	if err != nil {
		return nil, nil, nil, err
	}
	unit, err := nameOf(file, o.Instance)
	if err != nil {
		return nil, nil, nil, &Error{File: file, Msg: err.Error()}
	}
	m := &importer{
		file: file, o: o, unit: unit,
		on: map[string]bool{}, modes: map[string]string{}, said: map[string]setting{}, places: map[string][]place{},
		p: &policy.Policy{Name: file, Version: 1, Summary: summary(file), Namespaces: policy.Namespaces{Net: "host"}},
	}
	for _, s := range settings {
		m.now = s
		if isLifecycle(s.key) {
			continue
		}
		if err := m.take(s); err != nil {
			return nil, nil, nil, m.failed(s.line, s.key+"=: ", err)
		}
	}
	if err := m.finish(); err != nil {
		return nil, nil, nil, m.failed(m.now.line, m.now.key+"=: ", err)
	}
	// A policy file must be able to say it. What a unit's values can do wrong
	// was seen when they were read.
	if _, err := policy.Parse(file, m.p.Print()); err != nil {
		return nil, nil, nil, &Error{File: file, Msg: "what it says together is no policy: " + bareMessage(err)}
	}
	return m.p, m.losses, m.stricter(), nil
}

func (m *importer) failed(line int, before string, err error) error {
	e := &Error{File: m.file, Line: line, Msg: before + bareMessage(err)}
	var h *hinted
	var p *policy.Error
	switch {
	case errors.As(err, &h):
		e.Fix = h.fix
	case errors.As(err, &p):
		e.Fix = p.Fix
	}
	return e
}

// bareMessage is an error without its place, which is in a policy that nobody
// has seen.
func bareMessage(err error) string {
	var p *policy.Error
	if errors.As(err, &p) {
		return p.Msg
	}
	return err.Error()
}

// summary is the policy's, with nothing in it that a file's name may have and
// a policy must not.
func summary(file string) string {
	name := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, path.Base(file))
	return "Imported from " + name[:min(len(name), 100)]
}

// importer collects what settings say, so that a later one can take an earlier
// one back, and then writes the policy.
type importer struct {
	file   string
	o      Options
	unit   unitName
	p      *policy.Policy
	now    setting // that is being read
	losses []string

	// on has the switches, modes the settings with one word for a value, places
	// the lists of paths; said where each was set last.
	on     map[string]bool
	modes  map[string]string
	places map[string][]place
	said   map[string]setting

	filter   callFilter
	families *familySet

	// bounding and ambient are nil until they are set.
	user              bool
	bounding, ambient capabilitySet

	env, pass, unset, ownEnv []string

	tasks, nproc string

	root  string  // RootDirectory=
	image setting // RootImage=, if there is one
	tree  tree

	denied, allowed         []string // IPAddressDeny=, IPAddressAllow=
	bindDenied, bindAllowed []string // SocketBindDeny=, SocketBindAllow=
}

// lose says what of the present setting gets lost, or becomes otherwise.
func (m *importer) lose(format string, args ...any) { m.loseAt(m.now, format, args...) }

func (m *importer) loseAt(s setting, format string, args ...any) {
	where := m.file
	if s.key != "" {
		value := s.value
		if len(value) > 60 {
			value = value[:60] + "..."
		}
		where = fmt.Sprintf("%s:%d: %s=%s", m.file, s.line, s.key, strings.ToValidUTF8(value, ""))
	}
	if text := where + ": " + fmt.Sprintf(format, args...); !slices.Contains(m.losses, text) {
		m.losses = append(m.losses, text)
	}
}

// finish puts together what settings say jointly.
func (m *importer) finish() error {
	m.capabilities()
	m.namespaces()
	m.network()
	m.limits()
	m.files()
	m.environment()
	if err := m.restrictions(); err != nil {
		return err
	}
	return m.calls()
}

// namespaces sets those that are not new by default.
func (m *importer) namespaces() {
	n := &m.p.Namespaces
	if m.on["PrivateNetwork"] {
		n.Net = "new"
	}
	if path := m.modes["NetworkNamespacePath"]; path != "" {
		n.Net = path
	}
	if path := m.modes["IPCNamespacePath"]; path != "" {
		n.IPC = path
	}
	if m.on["PrivateUsers"] {
		n.User = "new"
	}
}

// stricter says, in one note, where the policy refuses what the unit does not
// speak of.
func (m *importer) stricter() []string {
	var list []string
	add := func(unless bool, text string) {
		if !unless {
			list = append(list, text)
		}
	}
	add(m.on["NoNewPrivileges"] || m.on["DynamicUser"], "no privileges are gained (NoNewPrivileges=)")
	add(m.user || m.bounding != nil || m.ambient != nil, "no capability is kept (CapabilityBoundingSet=)")
	add(m.said["RestrictNamespaces"].value == "yes", "no namespaces are made inside (RestrictNamespaces=)")
	add(m.said["SystemCallArchitectures"].key != "",
		"programs of other architectures are killed (SystemCallArchitectures=)")
	add(m.on["PrivateDevices"], "/dev has no device of the machine (PrivateDevices=)")
	add(m.on["ProtectKernelTunables"] && m.on["ProtectControlGroups"],
		"/proc is read-only, and so is /sys (ProtectKernelTunables=, ProtectControlGroups=)")
	add(m.modes["KeyringMode"] == "inherit", "the kernel's keyrings cannot be used (KeyringMode=)")
	add(false, "Unix sockets of the host cannot be connected to (files.sockets)")
	add(false, "no variable of the environment crosses that the unit does not name, PATH neither")
	return []string{"where the unit says nothing the policy refuses: " + strings.Join(list, "; ")}
}
