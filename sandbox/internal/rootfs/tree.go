// Package rootfs decides what each path inside a sandbox is. It is pure: from a
// policy and the facts of a machine it makes one tree, and the mounts, the
// masks, the pinned directories and the Landlock rules are derived from that
// tree, as is what --dry-run --tree prints.
//
// The deepest entry decides, whatever list of [files] it stands in; a path of
// hide beats everything at and below it.
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

// Kind is how a path inside comes to be.
type Kind uint8

const (
	// Directory is made by sbx on its own tmpfs, File and Link likewise.
	Directory Kind = iota
	File
	Link
	// Empty is an empty directory over one of the host's.
	Empty
	// Tmpfs is private and writable; directories in it are made by sbx.
	Tmpfs
	// Read and Write show the host's file or directory, Overlay its directory
	// with changes kept apart. sbx makes nothing in them.
	Read
	Write
	Overlay
	// Hidden is covered by an empty file or directory without any mode bits.
	Hidden
)

var kindNames = [...]string{"directory", "file", "link", "empty directory", "tmpfs", "read-only", "writable", "overlay", "hidden"}

// String is the kind in words.
func (k Kind) String() string { return kindNames[k] }

// FromHost says that what lies there is the host's.
func (k Kind) FromHost() bool { return k == Read || k == Write || k == Overlay }

// Node is one path of the tree: it says what is at the path and, but for deeper
// nodes, at all paths below it.
type Node struct {
	Path string
	Kind Kind
	// Source is what of the host is shown, and From the name by which the policy
	// means it if that is not Path.
	Source host.File
	From   string
	// Mode is that of a tmpfs or a directory, Size a tmpfs's bound.
	Mode uint32
	Size string
	// Text is a file's content or a link's target.
	Text string
	// NoExec says that nothing can be executed there, Device that it is one of
	// the device files of the sandbox's own /dev.
	NoExec, Device bool
	// Optional says that the policy lets it be missing.
	Optional bool
	// Layers are an overlay's upper and work directories, if they are kept.
	Layers *[2]host.File
}

// Options are what New needs to know beyond the policy's [files].
type Options struct {
	// UserNS says that the target has a user namespace of its own.
	UserNS bool
	// Keep are the capabilities that mean something for the files of others.
	Keep caps.Set
}

// Tree is what each path inside is.
type Tree struct {
	// Notes say what of the policy was left out, and why.
	Notes []string

	policy  *policy.Policy
	entries *policy.Tree
	facts   *host.Facts
	target  host.Target
	opts    Options
	// nodes are in order of depth, then of the path: parents come first.
	nodes []Node
	index map[string]int
	// masks are the paths that are covered, in the same order.
	masks  []mask
	masked map[string]bool
	// absent are hidden paths that are not there and that the target could make.
	absent map[string]bool
	// sockets are the real paths of those that may be connected to.
	sockets []string
	tmpSize string // of each tmpfs that has no size of its own
}

// New decides what each path inside is, in a mount namespace of the sandbox's
// own. What cannot be as the policy says is an error.
func New(p *policy.Policy, t host.Target, f *host.Facts, o Options) (*Tree, error) {
	tree := &Tree{policy: p, entries: p.Tree(), facts: f, target: t, opts: o, tmpSize: policy.ParsePath(p.Limits.Tmp).Name}
	for _, part := range [...]func() error{
		tree.checkTmpSize, tree.addEntries, tree.addSockets, tree.addOwn, tree.addNotifySocket, tree.addDev,
		tree.resolve, tree.addAliases, tree.placeOwn, tree.hide, tree.checkDir,
	} {
		if err := part(); err != nil {
			return nil, err
		}
	}
	slices.Sort(tree.Notes) // whatever the order of the lists
	return tree, nil
}

// At is what the path inside is: the node at it or the deepest one over it, or
// a Hidden one where the path is covered.
func (t *Tree) At(name string) Node {
	if m := t.maskOver(name); m != "" {
		return Node{Path: m, Kind: Hidden}
	}
	n, _ := t.deepest(name)
	return n
}

// deepest is the node at the path or over it; the root directory of sbx's own
// where there is none.
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

// over is the deepest node over the path, without the one at it.
func (t *Tree) over(name string) Node {
	if name == "/" {
		return Node{Path: "/", Kind: Directory, Mode: 0o755}
	}
	n, _ := t.deepest(path.Dir(name))
	return n
}

func (t *Tree) has(name string) bool { _, ok := t.index[name]; return ok }

// sort puts the nodes in order and numbers them.
func (t *Tree) sort() {
	slices.SortStableFunc(t.nodes, func(a, b Node) int { return byDepth(a.Path, b.Path) })
	t.index = make(map[string]int, len(t.nodes))
	for i, n := range t.nodes {
		t.index[n.Path] = i
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

// AllWritable says that the host's root is the root inside, to be written.
func (t *Tree) AllWritable() bool {
	n, _ := t.deepest("/")
	return n.Kind == Write && n.Source.Real == "/"
}

// place is the path inside of what of the host has the real path, by a node
// that shows a directory over it.
func (n Node) place(real string) string {
	return path.Join(n.Path, strings.TrimPrefix(real, n.Source.Real))
}

// real is the real path of what of the host the node shows at a path inside.
func (n Node) real(name string) string {
	return path.Join(n.Source.Real, strings.TrimPrefix(name, n.Path))
}
