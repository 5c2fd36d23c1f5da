// Package rootfs decides what each path inside a sandbox is. It is pure: from a policy
// and the facts of a machine it makes one tree. The mounts, the masks, the pinned
// directories and the Landlock rules are derived from that tree, and --dry-run --tree
// prints it.
//
// The deepest entry decides, whatever list of [files] it stands in. A hidden path
// overrides every entry at and below it.
package rootfs

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"sbx/caps"
	"sbx/ns"
	"sbx/policy"
	"sbx/sandbox/internal/host"
)

// Kind is what a path inside is.
type Kind uint8

const (
	// Directory, File and Link are made by sbx on its own tmpfs.
	Directory Kind = iota
	File
	Link
	// Empty is an empty read-only directory, mounted over one of the host's.
	Empty
	// Tmpfs is a private and writable tmpfs, in which sbx makes directories.
	Tmpfs
	// Read and Write show the host's file or directory. Overlay shows its directory and
	// keeps changes elsewhere. sbx makes nothing in them.
	Read
	Write
	Overlay
	// Socket is a socket of the sandbox's own, over the host's or on sbx's own tmpfs.
	Socket
	// Hidden is masked by an empty file or directory without any mode bits.
	Hidden
)

var kindNames = [...]string{
	"directory", "file", "link", "empty directory", "tmpfs", "read-only", "writable", "overlay", "socket", "hidden",
}

// String is the kind in words.
func (k Kind) String() string { return kindNames[k] }

// FromHost says that the host's files are there.
func (k Kind) FromHost() bool { return k == Read || k == Write || k == Overlay }

// Node is one path of the tree. It says what is at the path, and at all paths below it
// that have no deeper node.
type Node struct {
	Path string
	Kind Kind
	// Source is the host's file that is shown. From is its name in the policy, if that is
	// not Path.
	Source host.File
	From   string
	// Untrusted is why the link that led to Source is in doubt, or nil.
	Untrusted *host.LinkError
	// Mode is the mode of a tmpfs or a directory, Size the size limit of a tmpfs.
	Mode uint32
	Size string
	// Owner is the user a tmpfs or a directory is given to, 0: nobody.
	Owner int
	// Text is a file's content or a link's target.
	Text string
	// NoExec says that nothing can be executed there. Device says that it is one of the
	// device files in the sandbox's own /dev.
	NoExec, Device bool
	// Optional says that it may be missing.
	Optional bool
	// Layers are an overlay's upper and work directories, or nil for a tmpfs.
	Layers *[2]host.File
	// Review says that changes are kept apart from what the policy lets be written: by an
	// overlay, or by a copy of a file.
	Review bool
	// searched says that it was found by a search: the policy does not name it.
	searched bool
	// alias says that it is a read-only entry's file under a second name.
	alias bool
}

// Options are what New needs to know beyond the policy's [files].
type Options struct {
	// UserNS says that the target has a user namespace of its own.
	UserNS bool
	// Keep are the target's capabilities, as far as they apply to other users' files.
	Keep caps.Set
}

// Tree is what each path inside is.
type Tree struct {
	// Unmade are directories of sbx's own that do not exist, and that the target could make: it
	// may write to all of the host, or its MakesOwn is set. If they are made first, they are
	// read-only inside.
	Unmade []string
	// Notes say which entries of the policy were dropped, and why.
	Notes []string
	// Dir is the directory to start in.
	Dir string

	policy  *policy.Policy
	entries *policy.Tree
	facts   *host.Facts
	target  host.Target
	opts    Options
	// nodes are sorted by depth and then by path, so parents come first.
	nodes []Node
	index map[string]int
	// guards are the read-only entries, links those of them that are symbolic
	// links, followed or not: all hold for the file that they lead to.
	guards, links []Node
	// masks are the masked paths, in the same order.
	masks  []mask
	masked map[string]bool
	// absent are hidden paths that do not exist and that the target could make.
	absent map[string]bool
	// sockets are the real paths of the sockets that the target may connect to.
	sockets []string
	bare    bool   // there are no mounts: see NewBare
	tmpSize string // the size of each tmpfs without a size of its own
}

// New decides what each path inside is, in a new mount namespace. It is an error where
// that cannot be as the policy says.
func New(p *policy.Policy, t host.Target, f *host.Facts, o Options) (*Tree, error) {
	tree := &Tree{policy: p, entries: f.Tree(p), facts: f, target: t, opts: o,
		tmpSize: policy.ParsePath(p.Limits.Tmp).Name}
	for _, part := range [...]func() error{
		tree.checkTmpSize, tree.addEntries, tree.addSockets, tree.addOwn, tree.addNotifySocket, tree.addDev,
		tree.addDevices, tree.resolve, tree.placeOwn, tree.addRunLinks, tree.addGuards, tree.addAliases, tree.hide,
		tree.chooseDir, tree.review,
	} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	slices.Sort(tree.Notes) // independent of the order of the lists
	return tree, nil
}

// At is what the path inside is: the node at it, or the deepest one over it, or a Hidden
// one where the path is masked.
func (t *Tree) At(name string) Node {
	if m := t.maskOver(name); m != "" {
		return Node{Path: m, Kind: Hidden}
	}
	n, _ := t.deepest(name)
	return n
}

// deepest is the node at the path or the deepest one over it. Where there is none, it is
// the root directory that sbx makes.
func (t *Tree) deepest(name string) (Node, bool) {
	for {
		if i, ok := t.index[name]; ok {
			return t.nodes[i], true
		}
		if name == "/" || name == "." || name == "" {
			return Node{Path: "/", Kind: Directory, Mode: 0o755}, false
		}
		name = path.Dir(name)
	}
}

// over is the deepest node over the path, not counting one at it.
func (t *Tree) over(name string) Node {
	if name == "/" {
		return Node{Path: "/", Kind: Directory, Mode: 0o755}
	}
	n, _ := t.deepest(path.Dir(name))
	return n
}

// HasBelow says whether there is a node below the path, so that the path is a directory.
func (t *Tree) HasBelow(name string) bool {
	return slices.ContainsFunc(t.nodes, func(n Node) bool { return n.Path != name && policy.Within(n.Path, name) })
}

func (t *Tree) has(name string) bool { _, ok := t.index[name]; return ok }

// sort sorts the nodes and fills the index.
func (t *Tree) sort() {
	slices.SortStableFunc(t.nodes, func(a, b Node) int { return byDepth(a.Path, b.Path) })
	if t.index == nil {
		t.index = make(map[string]int, len(t.nodes))
	}
	clear(t.index)
	for i := range t.nodes {
		t.index[t.nodes[i].Path] = i
	}
}

func byDepth(a, b string) int { return cmp.Or(cmp.Compare(depth(a), depth(b)), cmp.Compare(a, b)) }

func depth(p string) int {
	if p == "/" {
		return 0
	}
	return strings.Count(p, "/")
}

// HostRoot says that the root inside is a directory of the host's.
func (t *Tree) HostRoot() bool {
	n, _ := t.deepest("/")
	return n.Kind.FromHost()
}

// IsDevice says whether the path inside is that device of the sandbox's own /dev.
func (t *Tree) IsDevice(name string, id ns.ID) bool {
	i, ok := t.index[name]
	return ok && t.nodes[i].Device && t.nodes[i].Source.ID() == id && t.maskOver(name) == ""
}

// AllWritable says that the root inside is the host's root and is writable.
func (t *Tree) AllWritable() bool {
	n, _ := t.deepest("/")
	return n.Kind == Write && n.Source.Real == "/"
}

// NothingWrittenRuns says that the policy lets the target execute nothing at all that it
// can write: there are such places, and each has exec = false. A nil tree says no.
func (t *Tree) NothingWrittenRuns() bool {
	some := false
	if t == nil {
		return false
	}
	for _, n := range t.nodes {
		writes := n.Kind == Write || n.Kind == Overlay || n.Kind == Tmpfs
		switch {
		case !writes || n.Device || t.isOwnDev(n) || t.maskOver(n.Path) != "":
		case !n.NoExec:
			return false
		default:
			some = true
		}
	}
	return some
}

// insidePath is the path inside of the host's file with that real path, below a node
// that shows a directory over it.
func (n Node) insidePath(real string) string {
	return path.Join(n.Path, strings.TrimPrefix(real, n.Source.Real))
}

// HostPath is the real path of the host's file that the node shows at a path inside.
func (n Node) HostPath(name string) string {
	return path.Join(n.Source.Real, strings.TrimPrefix(name, n.Path))
}
