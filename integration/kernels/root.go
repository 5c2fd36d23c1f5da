package kernels

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"sbx/integration/kernels/job"
)

// packages are what the guests' root is made of: this machine's copies of the
// programs that the scripts run, with the libraries that they are linked with.
var packages = strings.Fields(`base-files bash dash coreutils grep sed findutils mawk diffutils util-linux mount
procps psmisc tar gzip xz-utils hostname login passwd libc-bin libcap2-bin ca-certificates curl git jq sqlite3
python3-minimal python3.11-minimal libpython3.11-minimal libpython3.11-stdlib media-types
nginx nginx-common strace bubblewrap uidmap iproute2 apparmor bsdutils busybox-static`)

// dull is what nobody in a guest reads.
var dull = []string{"/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/info", "/usr/share/lintian",
	"/usr/share/bash-completion",
	"/usr/share/gitweb", "/usr/share/perl5", "/usr/share/bug", "/etc/init.d", "/lib/systemd", "/etc/systemd",
	"/var/lib/dpkg"}

// rootImage makes the disk image of the guests' root in dir.
func rootImage(dir string) (string, error) {
	if err := exec.Command("dpkg-query", append([]string{"-W"}, packages...)...).Run(); err != nil {
		return "", fmt.Errorf("packages for the guests: %w (integration/setup.sh installs them)", explain(err))
	}
	r := root{dir: filepath.Join(dir, "root"), inodes: map[uint64]string{}}
	if err := r.fill(); err != nil {
		return "", fmt.Errorf("lay out the guests' root: %w", err)
	}
	image := filepath.Join(dir, "root.ext4")
	return image, errors.Join(makeImage(image, r.dir, 2<<30), os.RemoveAll(r.dir))
}

// makeImage makes a file system of what is in a directory. In a user namespace
// what is the caller's belongs to root, as it is to do in the guest.
func makeImage(image, dir string, size int64) error {
	// Nothing in it outlives a crash, so it needs no journal.
	cmd := exec.Command("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-N", "65536", "-E",
		"lazy_itable_init=1,nodiscard", "-d", dir, image, fmt.Sprintf("%dk", size>>10))
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if uid, gid := os.Getuid(), os.Getgid(); uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}},
		}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make %s: %w\n%s", image, err, out)
	}
	return nil
}

// root is a directory that becomes a guest's root.
type root struct {
	dir    string
	inodes map[uint64]string // what was copied, for hard links
	elves  []string
}

func (r *root) fill() error {
	for _, dir := range strings.Fields(`dev proc sys run tmp tests disk root home/user etc srv mnt media opt
		usr/bin usr/sbin usr/lib usr/lib64 usr/local/bin
		var/tmp var/log var/lib var/cache var/spool var/lib/nginx var/log/nginx var/www/html`) {
		if err := os.MkdirAll(filepath.Join(r.dir, dir), 0o755); err != nil {
			return err
		}
	}
	for name, to := range map[string]string{"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib",
		"lib64": "usr/lib64", "var/run": "/run", "var/lock": "/run/lock"} {
		if err := os.Symlink(to, filepath.Join(r.dir, name)); err != nil {
			return err
		}
	}
	list, err := exec.Command("dpkg-query", append([]string{"-L"}, packages...)...).Output()
	if err != nil {
		return explain(err)
	}
	names := strings.Split(strings.TrimSpace(string(list)), "\n")
	alternatives, err := filepath.Glob("/etc/alternatives/*")
	if err != nil {
		return err
	}
	names = append(names, alternatives...)
	// What maintainer scripts link to the alternatives.
	names = append(names, "/usr/bin/awk", "/etc/ld.so.cache", "/etc/ld.so.conf", "/usr/bin/python3",
		"/etc/ssl/certs/ca-certificates.crt")
	for _, name := range names {
		if strings.HasPrefix(name, "/") && !slices.ContainsFunc(dull,
			func(d string) bool { return strings.HasPrefix(name, d) }) {
			if err := r.copy(name); err != nil {
				return err
			}
		}
	}
	if err := r.libraries(); err != nil {
		return err
	}
	return r.configure()
}

// copy copies one file; a directory without what is in it.
func (r *root) copy(name string) error {
	fi, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // excluded when the package was installed, as manuals are in containers
	}
	if err != nil {
		return err
	}
	// Below /bin, say, lies what is in /usr/bin, here and there.
	parent, err := filepath.EvalSymlinks(filepath.Dir(name))
	if err != nil {
		return err
	}
	to := filepath.Join(r.dir, parent, filepath.Base(name))
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	st, ok := fi.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return fmt.Errorf("%s: no inode", name)
	case fi.IsDir():
		if err := os.Mkdir(to, fi.Mode().Perm()|0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	case fi.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(name)
		if err != nil {
			return err
		}
		if err := os.Symlink(target, to); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return nil
	case !fi.Mode().IsRegular():
		return nil
	}
	if _, err := os.Lstat(to); err == nil {
		return nil
	}
	if first := r.inodes[st.Ino]; st.Nlink > 1 && first != "" {
		return os.Link(first, to)
	}
	r.inodes[st.Ino] = to
	if err := copyFile(name, to, fi.Mode()&(fs.ModePerm|fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky)); err != nil {
		if errors.Is(err, fs.ErrPermission) && fi.Mode()&0o004 == 0 {
			return os.Remove(to) // of others; a guest's tests need none of it
		}
		return err
	}
	r.elves = append(r.elves, name)
	return nil
}

func copyFile(from, to string, mode fs.FileMode) error {
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return errors.Join(err, out.Close())
	}
	defer in.Close()
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(err, out.Close())
	}
	return errors.Join(out.Chmod(mode), out.Close())
}

// libraries copies what the copied programs are linked with, and their loader.
func (r *root) libraries() error {
	// What the name service loads by itself.
	queue := append([]string{"/lib/x86_64-linux-gnu/libnss_files.so.2", "/lib/x86_64-linux-gnu/libgcc_s.so.1"}, r.elves...)
	seen := map[string]bool{}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		f, err := elf.Open(name)
		if err != nil {
			continue // not ELF
		}
		needed, err := f.ImportedLibraries()
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				if b, err := io.ReadAll(p.Open()); err == nil {
					needed = append(needed, strings.TrimRight(string(b), "\x00"))
				}
			}
		}
		f.Close()
		if err != nil && !errors.Is(err, elf.ErrNoSymbols) {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, lib := range append(needed, name) {
			if seen[lib] {
				continue
			}
			seen[lib] = true
			for _, dir := range []string{"", "/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu"} {
				path := lib
				if dir != "" {
					path = filepath.Join(dir, lib)
				}
				if fi, err := os.Stat(path); err != nil || !filepath.IsAbs(path) || !fi.Mode().IsRegular() {
					continue
				}
				if err := r.copy(path); err != nil {
					return err
				}
				real, err := filepath.EvalSymlinks(path)
				if err != nil {
					return err
				}
				if err := r.copy(real); err != nil {
					return err
				}
				if path != name {
					queue = append(queue, real)
				}
				break
			}
		}
	}
	return nil
}

// configure writes the few files that make a system of it.
func (r *root) configure() error {
	user := fmt.Sprint(job.User)
	for name, text := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/bash\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n" +
			"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		"etc/group": "root:x:0:\ntty:x:5:\nadm:x:4:\nwww-data:x:33:\nnogroup:x:65534:\n",
		// By number: the user has no name, here as elsewhere.
		"etc/subuid":        user + ":100000:65536\n",
		"etc/subgid":        user + ":100000:65536\n",
		"etc/hosts":         "127.0.0.1 localhost\n::1 localhost\n",
		"etc/hostname":      "guest\n",
		"etc/nsswitch.conf": "passwd: files\ngroup: files\nshadow: files\nhosts: files\n",
		"etc/resolv.conf":   "nameserver 127.0.0.1\n",
		"etc/machine-id":    "0123456789abcdef0123456789abcdef\n",
		"etc/shadow":        "root:*:19000:0:99999:7:::\n",
	} {
		to := filepath.Join(r.dir, name)
		if err := os.RemoveAll(to); err != nil {
			return err
		}
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			return err
		}
	}
	for name, mode := range map[string]fs.FileMode{"etc/shadow": 0o640, "root": 0o700, "tmp": 0o777 | fs.ModeSticky,
		"var/tmp": 0o777 | fs.ModeSticky} {
		if err := os.Chmod(filepath.Join(r.dir, name), mode); err != nil {
			return err
		}
	}
	return nil
}

// explain adds what a program has said to its exit status.
func explain(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return err
}
