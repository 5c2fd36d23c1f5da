package review

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// apply makes b of a by the edits.
func apply(a, b []string, edits []edit) (out []string) {
	at := 0
	for _, e := range edits {
		out = append(append(out, a[at:e.a]...), b[e.b:e.bEnd]...)
		at = e.aEnd
	}
	return append(out, a[at:]...)
}

// TestCompare: what compare finds makes the one file of the other, whatever they are.
func TestCompare(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		lines := func() (list []string) {
			for range r.IntN(12) {
				list = append(list, string(rune('a'+r.IntN(4))))
			}
			return list
		}
		a, b := lines(), lines()
		edits := compare(a, b)
		if got := apply(a, b, edits); !slices.Equal(got, b) {
			t.Fatalf("%v and %v: %v makes %v", a, b, edits, got)
		}
		for i, e := range edits {
			if e.a == e.aEnd && e.b == e.bEnd || i > 0 && e.a <= edits[i-1].aEnd && e.b <= edits[i-1].bEnd {
				t.Fatalf("%v and %v: %v", a, b, edits)
			}
		}
	}
	// Too many differences: all of it is replaced.
	a, b := make([]string, 5000), make([]string, 5000)
	for i := range a {
		a[i], b[i] = "a"+string(rune(i)), "b"+string(rune(i))
	}
	if edits := compare(a, b); len(edits) != 1 || !slices.Equal(apply(a, b, edits), b) {
		t.Errorf("%d edits", len(edits))
	}
}

func TestDiff(t *testing.T) {
	l := newLab(t, "text=1\n2\n3\n4\n5\n6\n7\n8\n9\n", "end=no newline", "gone=x\n", "bin=\x00", "link=->a", "tree/x=1",
		"mode=1",
		"twice=1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n17\n18\n19\n20\n")
	l.start()
	l.fill(l.upper, "text=1\n2\n3\n4\nfive\n6\n7\n8\n9\n", "end=a newline\n", "gone=WHITEOUT", "bin=\x00\x01", "link=->b",
		"tree=WHITEOUT", "new=\x1b[2J\u202e\n", "mode=1",
		"twice=one\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n17\n18\n19\n")
	l.must(os.Chmod(filepath.Join(l.upper, "mode"), 0o755))
	want := `# M bin  (2B, was 1B): no text, or too large
--- a/bin
+++ b/bin
--- a/end
+++ b/end
@@ -1 +1 @@
-no newline
\ No newline at end of file
+a newline
--- a/gone
+++ /dev/null
@@ -1 +0,0 @@
-x
# M link  (link, to b)
--- a/link
+++ b/link
@@ -1 +1 @@
-a
\ No newline at end of file
+b
\ No newline at end of file
# m mode  (mode 0755, was 0644)
--- /dev/null
+++ b/new
@@ -0,0 +1 @@
+\x1b[2J\u202e
--- a/text
+++ b/text
@@ -2,7 +2,7 @@
 2
 3
 4
-5
+five
 6
 7
 8
# - tree/  (with 1 entry)
--- a/twice
+++ b/twice
@@ -1,4 +1,4 @@
-1
+one
 2
 3
 4
@@ -17,4 +17,3 @@
 17
 18
 19
-20
`
	var b strings.Builder
	l.must(l.review.Diff(&b, nil, true))
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	b.Reset()
	l.must(l.review.Diff(&b, l.selection("new"), false))
	if !strings.HasSuffix(b.String(), "+\x1b[2J\u202e\n") {
		t.Errorf("to a pipe: %q", b.String())
	}
}

// TestPrint: the tree is cut where it gets long, and names move no cursor.
func TestPrint(t *testing.T) {
	l := newLab(t, "a/b/c=1", "a/b/d=1")
	l.start()
	l.fill(l.upper, "a/b/c=22", "a/b/\x1b[2J=1", "a/b/n/x=1", "z=1", "\u202ee=1")
	var b strings.Builder
	p := &Printer{W: &b}
	l.must(l.review.Print(p, nil))
	want := l.lower + `:
  + z  (1B)
  + "\u202ee"  (1B)
    a/
      b/
      + "\x1b[2J"  (1B)
      M c  (2B, was 1B)
      + n/
        + x  (1B)
`
	if b.String() != want || p.Count.String() != "6 changes: 5 added, 1 modified" {
		t.Errorf("%s\n%q, want\n%s", &p.Count, b.String(), want)
	}
	b.Reset()
	l.must(l.review.Print(&Printer{W: &b, Most: 3}, nil))
	if got := strings.Split(b.String(), "\n"); len(got) != 5 ||
		got[3] != "  ... and 6 more lines: sbx review show "+l.review.ID {
		t.Errorf("%q", got)
	}
	b.Reset()
	l.must(l.review.PrintJSON(&b, l.selection("z")))
	if !strings.HasPrefix(b.String(), `{"root":0,"path":"z","kind":"added","type":"file","size":1,`) {
		t.Error(b.String())
	}
}
