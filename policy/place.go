package policy

import (
	"path"
	"strconv"
	"strings"
)

// NoProject says why nobody means dir as a project by standing in it: programs
// obey what lies there, or run it. It is "" where somebody may. Who names the
// directory (sbx -C) means it; see Settings for what is no project even then.
//
// It goes by names alone. Below the home, that is each that begins with a dot;
// elsewhere, those that tools keep their own files under.
func NoProject(dir, home string) string {
	dir = path.Clean(dir)
	below, inHome := strings.CutPrefix(dir, strings.TrimSuffix(home, "/")+"/")
	if inHome = inHome && home != ""; !inHome {
		below = dir
	}
	for name := range strings.SplitSeq(below, "/") {
		if inHome && strings.HasPrefix(name, ".") || keptByPrograms(name) {
			return "it is in a directory " + strconv.Quote(name) + ", which programs keep for themselves"
		}
	}
	if first, _, _ := strings.Cut(below, "/"); inHome && first == "bin" {
		return "it is in ~/bin, where programs are run from"
	}
	for _, d := range homeTools {
		if whole, ok := strings.CutSuffix(d, "/."); inHome && (below == whole && ok || !ok && Within("/"+below, "/"+d)) {
			return "it is in ~/" + strings.TrimSuffix(d, "/.") + ", where programs are run from"
		}
	}
	return ""
}

// Workplace says whether somebody can mean dir as a project by standing in it, so that a
// program of an earlier run may have written there. homes are the caller's, by HOME and by
// the password file. It goes by names alone.
func Workplace(dir string, homes ...string) bool {
	inHome := false
	for _, home := range homes {
		if home == "" || home == "/" {
			continue
		}
		if ProjectDir(dir, home) == "" || NoProject(dir, home) != "" {
			return false
		}
		inHome = inHome || Within(dir, home)
	}
	return ProjectDir(dir, "/") != "" && NoProject(dir, "") == "" && (inHome || SystemPlace(dir) == "")
}

// homeTools are directories of a home that have a program's name and that is installed in.
// With /. behind, what lies in them is in order.
var homeTools = [...]string{
	"go/.", "go/bin", "go/pkg", "sdk", "snap", "perl5", "miniconda3", "miniconda", "anaconda3", "miniforge3", "mambaforge",
	"micromamba", "google-cloud-sdk", "Android/Sdk",
}

// toolDirs are directories whose contents programs run or obey, beside those of
// repositories: those that package policies guards in a project, and what their like have
// in a home.
var toolDirs = [...]string{
	".husky", ".github", ".gitlab", ".gitea", ".forgejo", ".circleci",
	".buildkite", ".woodpecker", ".ci", ".vscode", ".idea", ".fleet", ".zed", ".helix", ".nvim", ".vim", ".emacs.d",
	".devcontainer", ".cargo", ".yarn", ".mvn", ".gradle", ".claude", ".cursor", ".codex", ".gemini", ".direnv", ".sbx",
	".config", ".local", ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".password-store",
}

// SystemPlace says why nobody means dir as a project by standing in it, if it is a
// directory of the system's: what root leaves there the machine's own programs run or
// obey, and much in /etc and /var is for root alone. It is "" elsewhere. Whose home it
// is may work there; that is the caller's to look at.
func SystemPlace(dir string) string {
	dir = path.Clean(dir)
	for _, d := range systemPlaces {
		if whole, ok := strings.CutSuffix(d, "/."); dir == whole && ok || !ok && Within(dir, d) {
			return "it is in " + strings.TrimSuffix(d, "/.") + ", which the machine's own programs run or obey"
		}
	}
	return ""
}

// systemPlaces are those of runPlaces and obeyedPlaces in which nobody has work of his
// own, as some have in /usr/src, /usr/app, /opt and /var/lib. With /. behind, what lies
// in them is in order.
var systemPlaces = [...]string{
	"/etc", "/boot", "/efi", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store",
	"/usr/.", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/usr/libexec",
	"/usr/share", "/usr/include", "/usr/etc", "/usr/games",
	"/usr/local/.", "/usr/local/bin", "/usr/local/sbin", "/usr/local/lib", "/usr/local/lib64", "/usr/local/libexec",
	"/usr/local/share", "/usr/local/include", "/usr/local/etc", "/usr/local/games",
	"/var/spool", "/var/mail", "/var/log", "/var/cache", "/var/backups", "/var/db",
	"/var/lib/.", "/var/lib/apk", "/var/lib/apt", "/var/lib/dpkg", "/var/lib/pacman", "/var/lib/portage", "/var/lib/rpm",
	"/var/lib/cloud", "/var/lib/containerd", "/var/lib/containers", "/var/lib/dbus", "/var/lib/dkms", "/var/lib/docker",
	"/opt/conda", "/opt/homebrew", "/opt/local", "/opt/venv", "/var/lib/flatpak", "/var/lib/kubelet",
	"/var/lib/polkit-1", "/var/lib/snapd", "/var/lib/sudo", "/var/lib/systemd",
}
