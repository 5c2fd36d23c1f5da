package rootfs_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sbx/policy"
	"sbx/sandbox/internal/host"
	"sbx/sandbox/internal/plantest"
	"sbx/sandbox/internal/rootfs"
)

// TestReview: what can be written is an overlay, and everything else is as without a review:
// what is guarded, hidden or read-only in it stays so, by the same mounts.
func TestReview(t *testing.T) {
	p := plantest.Shipped(t, "commit")
	without, err := rootfs.New(p, host.Target{Dir: "/"}, plantest.Debian(p, 1000), rootfs.Options{UserNS: true})
	if err != nil {
		t.Fatal(err)
	}
	with, err := rootfs.New(p, host.Target{Dir: "/", Review: &host.Review{}}, plantest.Debian(p, 1000),
		rootfs.Options{UserNS: true})
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	a, b := without.Lines(), with.Lines()
	if len(a) != len(b) {
		t.Fatalf("%d paths with a review, %d without", len(b), len(a))
	}
	for i := range a {
		if a[i].Is == "writable" {
			a[i].Is = "overlay"
			changed++
		}
		if a[i] != b[i] {
			t.Errorf("%+v with a review, %+v without", b[i], a[i])
		}
	}
	list := with.Reviewed()
	if changed == 0 || len(list) != 1 || list[0].Path != "/home/u/p" {
		t.Fatalf("%d changed, %+v", changed, list)
	}
	for _, name := range []string{".env", ".ssh", ".git/config", ".git/hooks", "Jenkinsfile", "lib/.git"} {
		if !slices.Contains(list[0].Held, name) {
			t.Errorf("%s is not held: %q", name, list[0].Held)
		}
	}
	steps, err := with.Steps()
	if err != nil {
		t.Fatal(err)
	}
	shown := ""
	for _, s := range steps {
		shown += s.String() + "\n"
	}
	if !strings.Contains(shown, "overlay /home/u/p, changes are kept for review\n") ||
		strings.Contains(shown, "/home/u/p, writable") {
		t.Error(shown)
	}
	if without.Reviewed() != nil || (*rootfs.Tree)(nil).Reviewed() != nil {
		t.Error("something is reviewed without a review")
	}
}

// TestReviewLayers: the second plan has the directories that were made for the first one, and
// a writable directory without them is no way to the host.
func TestReviewLayers(t *testing.T) {
	p := &policy.Policy{Name: "p", Files: policy.Files{Write: []string{"/w"}, Hide: []string{"/w/s.txt"}}}
	h := machine(p, "/w", "/w/s.txt", "/r/upper", "/r/work")
	review := &host.Review{Layers: map[string][2]string{"/w": {"/r/upper", "/r/work"}}}
	tree, err := rootfs.New(p, host.Target{Dir: "/", Review: review}, h, rootfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := tree.At("/w/x"); n.Kind != rootfs.Overlay || n.Layers == nil || n.Layers[0].Real != "/r/upper" {
		t.Errorf("%+v", n)
	}
	steps, err := tree.Steps()
	if err != nil {
		t.Fatal(err)
	}
	hidden := false
	for _, s := range steps {
		hidden = hidden || s.String() == "hide /w/s.txt"
	}
	if !hidden {
		t.Error("/w/s.txt is not hidden")
	}
	review.Layers = map[string][2]string{}
	if _, err = rootfs.New(p, host.Target{Dir: "/", Review: review}, h, rootfs.Options{}); !errors.Is(err, host.Absent) {
		t.Errorf("without its directories: %v", err)
	}
}

// TestReviewFiles: a file that can be written is a copy, and a FIFO stays the host's, of
// which nothing but what goes through it can be written.
func TestReviewFiles(t *testing.T) {
	p := &policy.Policy{Name: "p", Files: policy.Files{Write: []string{"/w/f.txt", "/w/fifo"}}}
	h := machine(p, "/w", "/w/f.txt", "/w/fifo", "/r/upper/f.txt")
	fifo := h.Files["/w/fifo"]
	fifo.Mode = unix.S_IFIFO
	h.Files["/w/fifo"] = fifo
	for _, c := range []struct {
		layers map[string][2]string
		want   string
	}{
		{nil, "bind /w/f.txt writable, a copy of it, which is kept for review"},
		{map[string][2]string{"/w/f.txt": {"/r/upper/f.txt"}},
			"bind /r/upper/f.txt at /w/f.txt writable, a copy of it, which is kept for review"},
	} {
		tree, err := rootfs.New(p, host.Target{Dir: "/", Review: &host.Review{Layers: c.layers}}, h, rootfs.Options{})
		if err != nil {
			t.Fatal(err)
		}
		steps, err := tree.Steps()
		if err != nil {
			t.Fatal(err)
		}
		shown := ""
		for _, s := range steps {
			shown += s.String() + "\n"
		}
		if !strings.Contains(shown, c.want+"\n") || !strings.Contains(shown, "bind /w/fifo read-only\n") {
			t.Error(shown)
		}
		if list := tree.Reviewed(); len(list) != 1 || list[0].Path != "/w/f.txt" {
			t.Errorf("%+v", list)
		}
	}
	for _, copied := range []string{"/r/none", "/w"} {
		review := &host.Review{Layers: map[string][2]string{"/w/f.txt": {copied}}}
		if _, err := rootfs.New(p, host.Target{Dir: "/", Review: review}, h, rootfs.Options{}); !errors.Is(err, host.Absent) {
			t.Errorf("with %s for a copy: %v", copied, err)
		}
	}
}

// TestReviewRefused: what cannot be an overlay is an error, and never writable.
func TestReviewRefused(t *testing.T) {
	mounted := func(h *host.Facts) {
		f := h.Files["/w"]
		f.Mounted = "/w/mnt"
		h.Files["/w"] = f
	}
	for _, c := range []struct {
		files  policy.Files
		change func(*host.Facts)
		want   host.Reason
	}{
		{policy.Files{Write: []string{"/w/disk"}}, nil, host.WrongFile},
		{policy.Files{Write: []string{"?/w/disk"}}, nil, host.WrongFile},
		{policy.Files{Write: []string{"/"}}, nil, host.Impossible},
		{policy.Files{Write: []string{"/w"}}, mounted, host.Impossible},
		{policy.Files{Write: []string{"?/w"}}, mounted, host.Impossible},
		{policy.Files{Write: []string{"/w", "/v"}, Paths: map[string]policy.PathOptions{"/v": {From: "/w"}}}, nil,
			host.Conflict},
	} {
		p := &policy.Policy{Name: "p", Files: c.files}
		h := machine(p, "/", "/w", "/w/disk", "/v")
		disk := h.Files["/w/disk"]
		disk.Mode = unix.S_IFBLK
		h.Files["/w/disk"] = disk
		if c.change != nil {
			c.change(h)
		}
		_, err := rootfs.New(p, host.Target{Dir: "/", Review: &host.Review{}}, h, rootfs.Options{})
		if !errors.Is(err, c.want) {
			t.Errorf("%v: %v", c.files.Write, err)
		}
	}
}
