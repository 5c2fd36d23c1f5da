package host

import (
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/internal/text"
	"sbx/policy"
)

// certificateVariables name a file, or with dir a list of directories, of
// certificates that a program trusts besides the system's: those of a company's
// network, mostly.
var certificateVariables = [...]struct {
	name string
	dir  bool
}{
	{"SSL_CERT_FILE", false}, {"SSL_CERT_DIR", true}, {"NODE_EXTRA_CA_CERTS", false}, {"REQUESTS_CA_BUNDLE", false},
	{"CURL_CA_BUNDLE", false}, {"GIT_SSL_CAINFO", false}, {"GIT_SSL_CAPATH", true}, {"PIP_CERT", false},
	{"CARGO_HTTP_CAINFO", false}, {"AWS_CA_BUNDLE", false}, {"DENO_CERT", false}, {"NIX_SSL_CERT_FILE", false},
	{"NPM_CONFIG_CAFILE", false}, {"npm_config_cafile", false}, {"BUNDLE_SSL_CA_CERT", false},
	{"HEX_CACERTS_PATH", false}, {"PERL_LWP_SSL_CA_FILE", false},
}

// Certificates are the paths that the variables for certificates name, of those
// that cross to the target. The notes say which
// are not to be shown, since they hold something else: the environment may have
// come from anywhere, and shows no other file. cwd is the caller's directory. Probe
// judges the paths like all that a policy names.
func Certificates(p *policy.Policy, env []string, cwd string) (show, notes []string) {
	for _, v := range certificateVariables {
		value, ok := Lookup(env, v.name)
		if !ok || value == "" || strings.Contains(p.Process.EnvEntry(v.name), "=") || p.Process.EnvEntry(v.name) == "" {
			continue
		}
		list := []string{value}
		if v.dir {
			list = strings.Split(value, ":")
		}
		for _, name := range list {
			if !path.IsAbs(name) {
				name = path.Join(cwd, name)
			}
			name = path.Clean(name)
			if policy.Within(name, "/usr") || policy.Within(name, "/etc/ssl/certs") {
				continue // shown by all that have such variables
			}
			switch why := notCertificates(name); why {
			case "":
				show = append(show, name)
			case absentFile:
			default:
				notes = append(notes, fmt.Sprintf("%s names %s, which is not shown: %s (--read shows it)", v.name,
					text.Quote(name), why))
			}
		}
	}
	return show, notes
}

// absentFile is the reason of a name where nothing is: it is for the program to say.
const absentFile = "it is not there"

// notCertificates is why the file, or what is in the directory, is not to be shown
// for its certificates, or "".
func notCertificates(name string) string {
	var w walker
	defer w.close()
	o, err := w.open(name)
	switch err {
	case nil:
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP:
		return absentFile
	default:
		return err.Error()
	}
	defer unix.Close(o.fd) // opened with O_PATH
	switch o.st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return notCertificate(o.fd)
	case unix.S_IFDIR:
		return otherFiles(o.fd)
	}
	return "it is no file and no directory"
}

// notCertificate is why the file that is open is not one of certificates alone.
func notCertificate(fd int) string {
	s, err := readFile(fd, 4<<20)
	switch {
	case err != nil:
		return err.Error()
	case strings.Contains(s, "PRIVATE KEY"):
		return "it holds a private key"
	case !strings.Contains(s, "-----BEGIN CERTIFICATE-----") && !strings.Contains(s,
		"-----BEGIN TRUSTED CERTIFICATE-----"):
		return "it holds no certificate"
	}
	return ""
}

// otherFiles is why the directory that is open has more than certificates in it, by
// the names that openssl-rehash(1) makes and reads.
func otherFiles(dir int) string {
	fd, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	defer unix.Close(fd)
	buf, some := make([]byte, 16384), false
	for {
		n, err := unix.ReadDirent(fd, buf)
		switch {
		case err != nil:
			return err.Error()
		case n == 0 && !some:
			return "nothing is in it"
		case n == 0:
			return ""
		}
		for b := buf[:n]; len(b) > 0; {
			var e entry
			e, b = dirent(b)
			if e.name == "." || e.name == ".." {
				continue
			}
			if why := notCertificateAt(fd, e); why != "" {
				return text.Quote(e.name) + " in it is no certificate: " + why
			}
			some = true
		}
	}
}

// notCertificateAt is why an entry of a directory of certificates is none. The
// links that openssl-rehash makes lead to what is in there too, or elsewhere to
// what is not shown for that.
func notCertificateAt(dir int, e entry) string {
	if e.kind == unix.DT_LNK {
		return ""
	}
	if e.kind != unix.DT_REG {
		return "it is no file"
	}
	fd, err := unix.Openat(dir, e.name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err.Error()
	}
	defer unix.Close(fd)
	return notCertificate(fd)
}
