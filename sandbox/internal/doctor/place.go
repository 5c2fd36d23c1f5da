package doctor

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/caps"
	"sbx/ns"
)

// Place is what sbx was started in, as far as it changes what to do.
type Place struct {
	// In are words for it: "docker", "kubernetes", "wsl", "chroot", ...
	In []string
	// Kernel is its release.
	Kernel string
}

// in says whether sbx was started in that.
func (p *Place) in(what string) bool {
	for _, s := range p.In {
		if s == what {
			return true
		}
	}
	return false
}

func look() (p Place) {
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		p.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	there := func(name string) bool { return unix.Access(name, unix.F_OK) == nil }
	for _, x := range [...]struct {
		is   bool
		what string
	}{
		{there("/.dockerenv"), "docker"}, {there("/run/.containerenv"), "podman"},
		{os.Getenv("KUBERNETES_SERVICE_HOST") != "", "kubernetes"},
		{strings.Contains(strings.ToLower(p.Kernel), "microsoft"), "wsl"},
		{os.Getenv("INVOCATION_ID") != "" && os.Getenv("SYSTEMD_EXEC_PID") == strconv.Itoa(os.Getpid()), "systemd service"},
		{ns.Chrooted(), "chroot"}, {ns.Filtered(), "seccomp filter of an outer sandbox"},
	} {
		if x.is {
			p.In = append(p.In, x.what)
		}
	}
	return p
}

func mapLine(id int) string { return fmt.Sprintf("%d %d 1\n", id, id) }

// mountAttr is struct mount_attr that sets the flags.
func mountAttr(set uint64) []byte {
	b := make([]byte, 32)
	binary.NativeEndian.PutUint64(b, set)
	return b
}

// filterProgram is struct sock_fprog of one instruction.
func filterProgram(at uintptr) []byte {
	b := make([]byte, 16)
	b[0] = 1
	binary.NativeEndian.PutUint64(b[8:], uint64(at))
	return b
}

// The fixes, by where sbx was started.

// confined is how an outer container lets sbx do what it forbids.
func (b *bench) confined() string {
	switch {
	case b.place.in("kubernetes"):
		return "in the pod's securityContext: seccompProfile: {type: Unconfined}, appArmorProfile: {type: Unconfined}, " +
			"procMount: Unmasked (with hostUsers: false)"
	case b.place.in("podman"):
		return "podman run --security-opt seccomp=unconfined --security-opt unmask=ALL"
	case b.place.in("docker"):
		return "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined " +
			"--security-opt systempaths=unconfined"
	case b.place.in("systemd service"):
		return "in the unit: RestrictNamespaces=no, and no SystemCallFilter= that denies @mount"
	}
	return ""
}

// AppArmorProfile is what lets sbx make user namespaces on Ubuntu 23.10 and later.
const AppArmorProfile = "abi <abi/4.0>, include <tunables/global> profile sbx %s flags=(unconfined) { userns, }"

func (b *bench) namespaceFix(e unix.Errno) string {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		exe = "/usr/local/bin/sbx"
	}
	switch {
	case e == unix.ENOSPC && ns.Sysctl("user/max_user_namespaces") == "0":
		return "sysctl user.max_user_namespaces=15000"
	case ns.Sysctl("kernel/unprivileged_userns_clone") == "0":
		return "sysctl kernel.unprivileged_userns_clone=1"
	case ns.Sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1" && b.confined() == "":
		return "write to /etc/apparmor.d/sbx: " + fmt.Sprintf(AppArmorProfile, exe) +
			"; then apparmor_parser -r /etc/apparmor.d/sbx; or sysctl kernel.apparmor_restrict_unprivileged_userns=0"
	case e == unix.ENOSPC:
		return "raise the sysctls user.max_*_namespaces that are 0, or nest less deep"
	case b.place.in("chroot"):
		return "start sbx outside of the chroot, or use pivot_root in its place: the kernel allows no user namespaces in one"
	}
	return b.denied(e)
}

// mapFix knows that user 0 needs a capability to map itself.
func (b *bench) mapFix(e unix.Errno) string {
	effective, _, err := caps.Own()
	if e == unix.EPERM && unix.Geteuid() == 0 && err == nil && effective&caps.Setfcap == 0 {
		return "keep the capability setfcap for user 0, without which it cannot map itself (Linux 5.12), or be another user"
	}
	return b.namespaceFix(e)
}

// denied is what to do where nothing more is known.
func (b *bench) denied(e unix.Errno) string {
	switch {
	case b.confined() != "":
		return b.confined()
	case b.place.in("wsl"):
		return "WSL 2 is needed (wsl --set-version DISTRIBUTION 2), with a kernel of Linux 5.12 or newer (wsl --update)"
	case e == unix.ENOSYS && !ns.Filtered():
		return "a newer kernel"
	case ns.Filtered():
		return "an outer sandbox's filter denies it (docker: --security-opt seccomp=unconfined; systemd: SystemCallFilter=)"
	case e == unix.EINVAL, e == unix.ENODEV:
		return "a kernel that is built with it"
	}
	return "an outer sandbox or security module denies it: start sbx outside"
}

func (b *bench) mountFix(e unix.Errno) string {
	if ns.Sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1" {
		return b.namespaceFix(e)
	}
	if e == unix.ENOSPC {
		return "sysctl fs.mount-max=100000"
	}
	return b.denied(e)
}

func (b *bench) procFix(e unix.Errno) string {
	if e == unix.EPERM && b.confined() == "" {
		return "parts of /proc are mounted over, as container runtimes do, so that the kernel gives no other /proc: " +
			"docker run --security-opt systempaths=unconfined, podman run --security-opt unmask=ALL, " +
			"Kubernetes procMount: Unmasked; " +
			"or say proc = false in the policy's [files]"
	}
	return b.mountFix(e)
}

func (b *bench) overlayFix(e unix.Errno) string {
	if e == unix.ENODEV {
		return "modprobe overlay"
	}
	return b.mountFix(e)
}

func (b *bench) filterFix(e unix.Errno) string {
	if e == unix.EINVAL || e == unix.ENOSYS {
		return "a kernel with CONFIG_SECCOMP_FILTER"
	}
	return b.denied(e)
}

func (b *bench) listenerFix(e unix.Errno) string {
	if e == unix.EBUSY {
		return "an outer sandbox has a listener already: start sbx outside"
	}
	return b.denied(e)
}
