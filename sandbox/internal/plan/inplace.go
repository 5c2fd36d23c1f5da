package plan

import (
	"fmt"
	"strings"

	"sbx/internal/text"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/rootfs"
)

// supervised says what to do without an execution in place.
const supervised = "leave out --exec, or supervise = false in the policy's [process]"

// executesInPlace says whether sbx itself becomes the target, in the same process.
func executesInPlace(p *policy.Policy) bool {
	return p.Process.Supervise != nil && !*p.Process.Supervise
}

// needsLauncher is the refusal of what takes a process that stays beside the target.
func needsLauncher(what, why, fix string) error {
	return &host.NeedError{Reason: host.Conflict, What: "execute in place and " + what + ": " + why, Fix: fix}
}

// refuseInPlace refuses what takes a process beside the target, or another than this one:
// what the policy and the caller ask for.
func (d *decisions) refuseInPlace(p *policy.Policy, t host.Target) error {
	if !d.inPlace {
		return nil
	}
	d.remarks = append(d.remarks, inPlaceRemark)
	const (
		nobody = "nobody stays who could"
		one    = "the kernel lets only a process of one thread enter one, and sbx has several"
	)
	pid := "new"
	if d.ns.joined(ns.PID) {
		pid = p.Namespaces.PID
	}
	for _, x := range [...]struct {
		wanted         bool
		what, why, fix string
	}{
		{t.Given != nil, "go on with this process", "a library's caller would be gone", supervised},
		{d.ns.new&ns.PID != 0 || d.ns.joined(ns.PID), "have pid = " + text.Quote(pid),
			"a process never enters a pid namespace itself, only its children do",
			"say pid = \"host\" in the policy's [namespaces], add --no-namespaces, or " + supervised},
		{d.ns.joined(ns.User), "join the user namespace " + p.Namespaces.User, one,
			"say user = \"host\" in the policy's [namespaces] as root, or " + supervised},
		{d.ns.new&ns.User != 0, "make a user namespace", one,
			"run sbx as root without user = \"new\" in the policy's [namespaces], add --no-namespaces, or " + supervised},
		{d.ns.new&ns.Time != 0 || d.ns.joined(ns.Time), "have a time namespace", one,
			"say time = \"host\" in the policy's [namespaces], or " + supervised},
		{t.Receipt != nil, "write a receipt", nobody, "leave out --report, or " + supervised},
		{t.Announce, "tell of the exec", nobody, "leave out --ready-fd, or " + supervised},
		{t.Hold, "tell of the sandbox before it is made", nobody, supervised},
		{t.ExplainFiles, "explain which files were denied", nobody, "leave out --explain-files, or " + supervised},
		{t.Explain && policy.IsTrue(p.Report.Keep), "keep what was denied", nobody,
			"take keep = true out of the policy's [report], or " + supervised},
		{t.Explain, "explain what was denied", nobody, "leave out --explain and --events, or " + supervised},
		{t.Review != nil, "review what the program writes", nobody, "leave out --review, or " + supervised},
		{len(p.Network.Hosts) > 0, "reach single hosts", nobody + " connect to them",
			"take hosts out of the policy's [network] and leave out --host, or " + supervised},
		{len(p.Network.Listen) > 0, "accept connections on the host", nobody,
			"take listen out of the policy's [network] and leave out --publish, or " + supervised},
		{p.Process.Terminal == "pty", "relay a terminal of the target's own", nobody,
			"say terminal = \"inherit\" in the policy's [process], or " + supervised},
		{p.Process.Terminal == "new-session", "leave the caller's session", "the process keeps its place in that, and " +
			nobody + " pass the terminal's signals on",
			"say terminal = \"inherit\" in the policy's [process], or " + supervised},
	} {
		if x.wanted {
			return needsLauncher(x.what, x.why, x.fix)
		}
	}
	return nil
}

// refuseLeftovers refuses what the launcher, or the janitor, would undo or look at when the
// target has ended, as it has come out.
func (d *decisions) refuseLeftovers(p *policy.Policy, h *host.Facts) error {
	if !d.inPlace {
		return nil
	}
	for _, dir := range h.GuardedProjects() {
		return needsLauncher("guard names in "+text.Quote(dir),
			"they are looked for again when the program has ended, and nobody stays who could",
			"take "+text.Quote(dir)+" out of write in the policy's [files], or the names out of guard, or "+supervised)
	}
	if d.tree.AnyOnHost() {
		for _, x := range d.tree.OnHost() {
			fix := ""
			switch x.Is {
			case rootfs.Hidden.String():
				fix = "show it with --show " + text.Quote(x.Path) + ", or take it out of hide in the policy's [files], or "
			case rootfs.Read.String():
				fix = "take it out of read in the policy's [files], or write no directory that it is in, or "
			default:
				continue // private in its place, as /dev
			}
			return needsLauncher("have "+text.Quote(x.Path)+" "+x.Is, "if another file comes to its place on the host the "+
				"kernel drops the mount, and nobody stays who could tell", fix+supervised)
		}
	}
	if x := d.private; x != nil {
		var out []string
		for _, dir := range x.Dirs {
			if dir == rootfs.HomeName {
				out = append(out, `"!~"`)
			} else {
				out = append(out, `"!/tmp"`)
			}
		}
		return needsLauncher("make a private "+strings.Join(x.Dirs, " and "),
			"without a mount namespace nobody would remove it",
			"say tmpfs = ["+strings.Join(out, ", ")+"] in the [files] of a policy that extends this one, or "+supervised)
	}
	if d.notify.Address != "" {
		return needsLauncher("relay NOTIFY_SOCKET", "nobody stays who could",
			"take it out of the environment (env -u NOTIFY_SOCKET sbx ...), or "+supervised)
	}
	return nil
}

// refuseStream refuses a descriptor of the caller's whose file the launcher would restore.
func refuseStream(x host.Stdio, why, also string) error {
	fix := "have a pipe there, as in sbx ... | cat >FILE"
	if x.As == 0 {
		fix = "have a pipe there, as in cat FILE | sbx ..."
	}
	return needsLauncher(fmt.Sprintf("hand over descriptor %d", x.As), why, fix+also+", or "+supervised)
}

// refuseOffset refuses a file whose position the caller would find where it was: the target
// has the file opened anew.
func (d *decisions) refuseOffset(x host.Stdio) error {
	if !d.inPlace || !x.Seeks {
		return nil
	}
	return refuseStream(x, "it is a file, and nobody stays who could give its position back to the caller", "")
}

// inPlaceRemark says what is different then.
const inPlaceRemark = "sbx itself becomes the program: nobody ends what it leaves running, and the terminal's modes " +
	"and the flags of the standard streams stay as it leaves them"

// Why a limit does not hold in place.
const (
	inPlaceLimit    = "sbx executes in place, and nobody stays who could"
	inPlaceLimitFix = "put a ? in front of the limit, or " + supervised
)
