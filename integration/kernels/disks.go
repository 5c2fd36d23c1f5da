package kernels

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// repo is the top of the checkout, cache what fetch.sh fills.
const (
	repo  = "../.."
	cache = repo + "/.cache/kernels"
)

// unitPackages are the packages, besides integration, whose tests run in the
// guests: what talks to the kernel.
func unitPackages() ([]string, error) {
	cmd := exec.Command("go", "list", "-buildvcs=false", "-f",
		"{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}",
		"./sandbox/...", "./ns/...", "./caps/...", "./policy/seccomp/bpf")
	cmd.Dir = repo
	out, err := cmd.Output()
	names := strings.Fields(strings.ReplaceAll(string(out), "sbx/", ""))
	// The tests of sandbox/child want a compiler.
	return slices.DeleteFunc(names, func(s string) bool { return s == "sandbox/child" }), explain(err)
}

// disks is what the guests are booted from.
type disks struct {
	root  string // the image of the root
	guest string // the init
	tests string // the directory of which the second disk was made
	image string // that disk
}

// layDisks builds everything in dir; sbx is the binary to test, packages those
// whose tests are to be there.
func layDisks(dir, sbx string, packages []string) (disks, error) {
	d := disks{guest: filepath.Join(dir, "guest"), tests: filepath.Join(dir, "tests"),
		image: filepath.Join(dir, "tests.ext4")}
	if err := os.MkdirAll(filepath.Join(d.tests, "bin"), 0o755); err != nil {
		return d, err
	}
	var err error
	if d.root, err = rootImage(dir); err != nil {
		return d, err
	}
	plain := []string{"CGO_ENABLED=0"}
	if err := goDo(plain, "build", "-o", d.guest, "./guest"); err != nil {
		return d, err
	}
	if err := goDo(plain, "build", "-o", filepath.Join(d.tests, "bin", "probe"), repo+"/integration/probe"); err != nil {
		return d, err
	}
	// With libseccomp, as the Makefile builds sbx.
	musl, err := filepath.Abs(repo + "/.cache/musl")
	if err != nil {
		return d, err
	}
	static := []string{"CGO_ENABLED=1", "CC=musl-gcc", "CGO_CFLAGS=-O2 -I" + musl + "/include", "CGO_LDFLAGS=-L" +
		musl + "/lib"}
	for _, pkg := range packages {
		to := filepath.Join(d.tests, "unit", pkg)
		if err := os.MkdirAll(to, 0o755); err != nil {
			return d, err
		}
		if err := goDo(static, "test", "-c", "-tags", "osusergo,netgo", "-ldflags",
			"-linkmode external -extldflags -static", "-o", to+"/test", repo+"/"+pkg); err != nil {
			return d, err
		}
		// Tests look for their data where they are.
		if err := os.CopyFS(to+"/testdata", os.DirFS(repo+"/"+pkg+"/testdata")); err != nil &&
			!errors.Is(err, fs.ErrNotExist) {
			return d, err
		}
	}
	for from, to := range map[string]string{sbx: "bin/sbx", "/bin/busybox": "bin/busybox", d.guest: "guest"} {
		if err := copyFile(from, filepath.Join(d.tests, to), 0o755); err != nil {
			return d, err
		}
	}
	return d, makeImage(d.image, d.tests, 256<<20)
}

// goDo runs the go command with some of the environment changed.
func goDo(env []string, verb string, args ...string) error {
	cmd := exec.Command("go", append([]string{verb, "-buildvcs=false"}, args...)...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s %s: %w\n%s", verb, strings.Join(args, " "), err, out)
	}
	return nil
}
