package host

import (
	"slices"
	"strings"

	"sbx/policy"
	"sbx/sandbox/internal/landlock"
)

// SocketRestriction is the mechanism that keeps the target from the host's Unix sockets
// that it sees and that the policy does not name.
type SocketRestriction uint8

const (
	// SocketsOpen is none: the policy allows all sockets.
	SocketsOpen SocketRestriction = iota
	// SocketsByLandlock is Landlock, which from ABI 9 on tells the host's sockets from the
	// sandbox's.
	SocketsByLandlock
	// SocketsByFilter is a filter that denies making sockets. It is for older kernels, where
	// the policy names no socket, there is no notify socket, and the target has none of its
	// own; see ownSockets.
	SocketsByFilter
	// SocketsByMask are masks over the sockets that exist at the start.
	SocketsByMask
)

// SocketRestriction says which mechanism is used.
func (h *Facts) SocketRestriction(p *policy.Policy, t Target) SocketRestriction {
	switch {
	case slices.ContainsFunc(p.Files.Sockets, func(s string) bool { return policy.ParsePath(s).Name == "/" }):
		return SocketsOpen
	case h.LSM.Landlock >= landlock.ABISockets && p.Process.Landlock != "off" && !policy.IsTrue(p.Process.Nest):
		return SocketsByLandlock
	case len(p.Files.Sockets) == 0 && t.NotifySocket() == "" && !h.ownSockets(p):
		return SocketsByFilter
	}
	return SocketsByMask
}

// ownSockets says whether the target has Unix sockets of its own where masks are all
// that keeps it from the host's. It has none where there are no masks, where a search
// has not seen all that must be masked, or where nothing keeps it from the abstract
// sockets of the host's network.
func (h *Facts) ownSockets(p *policy.Policy) bool {
	ownNet := p.Namespaces.Net == "" || p.Namespaces.Net == "new"
	scoped := h.LSM.Landlock >= landlock.ABIScopes && p.Process.Landlock != "off" && !policy.IsTrue(p.Process.Nest)
	return policy.IsTrue(p.Files.OwnSockets) && p.Namespaces.OwnMounts() &&
		(ownNet || scoped) && h.SearchTruncatedAt == ""
}

// ShownDirs are the directories that the policy shows, except those of installed
// software as a whole, and overlays: a socket has an inode of its own there, to which
// nobody is bound, so the kernel refuses connections.
func (h *Facts) ShownDirs(tree *policy.Tree) []string {
	var list []string
	for _, e := range tree.Entries {
		if !e.Kind.FromHost() || e.Kind == policy.KindOverlay {
			continue
		}
		f := h.Files[e.Source()]
		if f.Dir() && !software(f.Real) && !h.downloads(f.Real) && !slices.Contains(list, f.Real) {
			list = append(list, f.Real)
		}
	}
	return list
}

// software says whether the directory is one that installed software, or the
// kernel, has to itself: a package manager's, in which nobody keeps sockets and
// the search would never end. What a policy lists below it is looked through.
func software(dir string) bool {
	switch dir {
	case "/usr", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/usr/share",
		"/usr/include",
		"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/boot", "/nix/store", "/gnu/store", "/sys", "/proc", "/dev",
		// The settings that base shows, which packages install and nobody runs in.
		"/etc/alternatives", "/etc/ca-certificates", "/etc/crypto-policies", "/etc/fonts", "/etc/ghostscript",
		"/etc/ImageMagick-6", "/etc/ImageMagick-7", "/etc/ld.so.conf.d", "/etc/perl", "/etc/pki/ca-trust",
		"/etc/R", "/etc/php", "/etc/python3", "/etc/maven", "/etc/ant", "/etc/gradle", "/etc/libreoffice",
		"/etc/chromium.d", "/etc/groff", "/etc/apache2", "/etc/caddy", "/etc/lighttpd", "/etc/haproxy", "/etc/varnish",
		"/etc/pki/tls/certs", "/etc/sgml", "/etc/ssl/certs", "/etc/terminfo", "/etc/texmf", "/etc/xml":
		return true
	}
	return strings.HasPrefix(dir, "/etc/java-")
}

// downloads says whether the directory is one of the caller's home that a package
// manager or a toolchain has to itself, as software says of the machine's.
func (h *Facts) downloads(dir string) bool {
	below, ok := strings.CutPrefix(dir, h.home+"/")
	if !ok {
		return false
	}
	switch below {
	case "go/pkg/mod", ".cargo/registry", ".cargo/git", ".cargo/bin", ".rustup", ".m2/repository", ".pyenv",
		".cache/go-build", ".cache/ccache", ".ccache", ".cache/sccache", ".cache/pip", ".cache/uv", ".cache/yarn",
		".npm/_cacache", ".gradle/caches", ".gradle/wrapper":
		return true
	}
	return false
}

// Installed says whether the directory is of what is installed on the machine, or
// its settings, in which nobody but the administrator makes sockets later on.
func Installed(dir string) bool {
	for _, d := range [...]string{
		"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
		"/etc", "/boot", "/opt", "/nix", "/gnu", "/sys", "/proc", "/dev",
	} {
		if policy.Within(dir, d) {
			return true
		}
	}
	return false
}
