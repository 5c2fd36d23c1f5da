package policy

import (
	"path"
	"slices"
	"strings"
)

// The places of a machine that programs run or obey by themselves, that hold
// secrets, and by which services act. Lint judges entries by them.

// runPlaces are run from: what is left there runs on the host.
var runPlaces = [...]string{
	"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "${HOME}/bin", "${HOME}/.local/bin",
	"${HOME}/.cargo/bin", "${HOME}/go/bin", "${HOME}/.npm-global/bin",
	"/usr", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/snap", "/nix", "/gnu",
}

// obeyedPlaces are read by programs that do what they find there.
var obeyedPlaces = [...]string{
	"/etc", "/root", "/boot", "/efi", "/sys", "/run", "/var/run", "/var/spool", "/var/lib", "/var/cache", "/var/log",
	"/var/backups", "/var/mail", "/var/local", "/var/opt", "/var/snap", "/var/db", "/var/tmp", "/tmp", "/home", "/srv",
	"/var/www", "/lost+found", "${HOME}/.bashrc",
	"${HOME}/.profile", "${HOME}/.ssh", "${HOME}/.config/autostart", "${HOME}/.config/systemd", "${XDG_CONFIG_HOME}",
	"${XDG_DATA_HOME}", "${XDG_STATE_HOME}", "${XDG_CACHE_HOME}", "${XDG_RUNTIME_DIR}", "${HOME}/.config/sbx",
	"/etc/sbx", "${HOME}/Desktop", "${HOME}/snap", "${HOME}/Library", "${HOME}/Mail", "${HOME}/Maildir", "${HOME}/R",
	"${HOME}/perl5",
}

// wholePlaces are those of obeyedPlaces in which a directory of one's own is in
// order: the whole is not.
var wholePlaces = [...]string{
	"/tmp", "/var/tmp", "/home", "/srv", "/var/www", "/run", "/var/run", "/var/lib", "/var/cache", "/var/spool",
	"/var/opt", "/var/local",
}

// obeyedState are the directories in those places that the machine itself obeys, or
// that root's tools go through. Any other there is the state of one service.
var obeyedState = [...]string{
	"/var/lib/AccountsService", "/var/lib/alternatives", "/var/lib/apk", "/var/lib/apt", "/var/lib/bluetooth",
	"/var/lib/cloud",
	"/var/lib/cni", "/var/lib/confexts", "/var/lib/containerd", "/var/lib/containers", "/var/lib/dbus",
	"/var/lib/dhcp", "/var/lib/dkms", "/var/lib/docker", "/var/lib/dpkg", "/var/lib/extensions", "/var/lib/flatpak",
	"/var/lib/fwupd", "/var/lib/gdm3", "/var/lib/incus", "/var/lib/initramfs-tools", "/var/lib/iwd", "/var/lib/kubelet",
	"/var/lib/libvirt", "/var/lib/lightdm", "/var/lib/locales", "/var/lib/lxc", "/var/lib/lxd", "/var/lib/machines",
	"/var/lib/misc", "/var/lib/NetworkManager", "/var/lib/nginx", "/var/lib/os-prober", "/var/lib/PackageKit",
	"/var/lib/pacman", "/var/lib/pam", "/var/lib/plymouth", "/var/lib/polkit-1", "/var/lib/portables",
	"/var/lib/portage", "/var/lib/private", "/var/lib/python",
	"/var/lib/rancher", "/var/lib/rpm", "/var/lib/samba", "/var/lib/sgml-base", "/var/lib/shim-signed", "/var/lib/snapd",
	"/var/lib/sss", "/var/lib/sudo", "/var/lib/systemd", "/var/lib/ucf", "/var/lib/ufw", "/var/lib/usbutils",
	"/var/lib/waydroid", "/var/lib/xkb", "/var/lib/xml-core",
	"/var/cache/apt", "/var/cache/debconf", "/var/cache/fontconfig", "/var/cache/ldconfig", "/var/cache/man",
	"/var/cache/private", "/var/cache/dnf", "/var/cache/libdnf5", "/var/cache/pacman", "/var/cache/snapd",
	"/var/spool/anacron", "/var/spool/at", "/var/spool/cron", "/var/spool/cups", "/var/spool/mail", "/var/spool/postfix",
	"/run/binfmt.d", "/run/containerd", "/run/credentials", "/run/cryptsetup", "/run/dbus", "/run/docker",
	"/run/initramfs", "/run/ld.so.conf.d", "/run/lock", "/run/log", "/run/lvm", "/run/media", "/run/modprobe.d",
	"/run/modules-load.d",
	"/run/motd.d", "/run/mount", "/run/NetworkManager", "/run/netns", "/run/network", "/run/nologin", "/run/polkit-1",
	"/run/resolvconf", "/run/screen", "/run/secrets", "/run/shm", "/run/sshd", "/run/sudo", "/run/sysctl.d",
	"/run/sysusers.d", "/run/systemd", "/run/tmpfiles.d", "/run/udev", "/run/user", "/run/utmp", "/run/wpa_supplicant",
	"/run/xtables.lock",
}

// secretPlaces are not to be read.
var secretPlaces = [...]string{
	"/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/ssh", "/etc/sudoers", "/etc/sudoers.d",
	"/etc/krb5.keytab", "/etc/wireguard", "/etc/openvpn", "/etc/ipsec.secrets", "/etc/ipsec.d", "/etc/swanctl",
	"/etc/NetworkManager", "/etc/netplan", "/etc/wpa_supplicant", "/etc/ppp", "/etc/kubernetes", "/etc/rancher",
	"/etc/crypttab", "/etc/cryptsetup-keys.d", "/etc/credstore", "/etc/credstore.encrypted", "/etc/machine-id",
	"/etc/mysql/debian.cnf", "/etc/docker", "/etc/security/opasswd", "/etc/samba", "/etc/cups",
	"/root", "/boot", "/var/lib", "/var/log", "/var/mail", "/var/spool", "/var/backups", "/var/cache", "/var/run",
	"/run/secrets", "/run/credentials", "/run/user", "/run/systemd", "/run/docker", "/run/containerd", "/run/udev",
	"/run/initramfs", "/run/cloud-init", "/run/keys", "/run/agenix", "/var/db", "/var/snap",
	"/sys/fs/cgroup", "/sys/kernel", "/sys/firmware", "/sys/fs/bpf", "/sys/fs/selinux", "/sys/fs/pstore",
	"${XDG_RUNTIME_DIR}", "${XDG_CONFIG_HOME}", "${XDG_DATA_HOME}", "${XDG_STATE_HOME}",
}

// secretState are directories of state in those places that hold secrets of more than one
// service, or of all.
var secretState = [...]string{
	"/var/lib/AccountsService", "/var/lib/bluetooth", "/var/lib/cloud", "/var/lib/containerd", "/var/lib/containers",
	"/var/lib/dhcp", "/var/lib/docker", "/var/lib/etcd", "/var/lib/gdm3", "/var/lib/incus", "/var/lib/iwd",
	"/var/lib/jenkins", "/var/lib/kubelet", "/var/lib/libvirt", "/var/lib/lxc", "/var/lib/lxd", "/var/lib/machines",
	"/var/lib/mongodb", "/var/lib/mysql", "/var/lib/NetworkManager", "/var/lib/postgresql", "/var/lib/private",
	"/var/lib/rancher", "/var/lib/redis", "/var/lib/samba", "/var/lib/snapd", "/var/lib/sss", "/var/lib/sudo",
	"/var/lib/systemd", "/var/lib/tailscale", "/var/lib/vault", "/var/cache/private", "/var/spool/at", "/var/spool/cron",
	"/var/spool/cups", "/var/spool/mail", "/var/spool/postfix", "/run/NetworkManager", "/run/screen", "/run/sshd",
	"/run/sudo", "/run/dbus",
}

// secretNames are the same, below the home.
var secretNames = [...]string{
	".ssh", ".gnupg", ".pki", ".aws", ".azure", ".kube", ".docker", ".dockercfg", ".oci", ".bluemix", ".aliyun",
	".netrc", ".authinfo", ".authinfo.gpg", ".npmrc", ".yarnrc", ".yarnrc.yml", ".pypirc", ".pgpass", ".my.cnf",
	".mylogin.cnf", ".git-credentials", ".password-store", ".config", ".local", ".mozilla", ".thunderbird", ".purple",
	".bash_history", ".zsh_history", ".history", ".python_history", ".node_repl_history", ".psql_history",
	".mysql_history", ".sqlite_history", ".rediscli_history", ".lesshst", ".viminfo", ".wget-hsts",
	".cargo/credentials", ".cargo/credentials.toml", ".cargo", ".m2", ".gradle", ".gem", ".bundle", ".composer",
	".nuget", ".terraform.d", ".terraformrc", ".vault-token", ".s3cfg", ".boto", ".databrickscfg", ".snowflake",
	".snowsql", ".fly", ".heroku", ".vercel", ".netlify", ".circleci", ".ngrok2", ".jenkins", ".subversion",
	".claude", ".claude.json", ".codex", ".gemini", ".cursor", ".aider.conf.yml", ".continue", ".ollama", ".openai",
	".huggingface", ".kaggle", ".ipython", ".jupyter", ".bitcoin", ".ethereum", ".electrum", ".age", ".sops",
	".step", ".minikube", ".helm", ".ansible", ".chef", ".pulumi", ".cache", ".var", ".Xauthority", ".ICEauthority",
	".mutt", ".muttrc", ".msmtprc", ".mbsyncrc", ".offlineimaprc", ".irssi", ".weechat", ".smbcredentials", ".putty",
	"snap", "Mail", "Maildir",
}

// servicePlaces are sockets of services that act without the policy.
var servicePlaces = [...]string{
	"/run/docker.sock", "/var/run/docker.sock", "/run/docker", "/run/containerd", "/run/k3s", "/run/crio",
	"/run/podman", "/run/buildkit", "/run/balena-engine.sock", "/run/snapd.socket", "/run/snapd-snap.socket",
	"/var/lib/lxd", "/var/snap/lxd", "/run/lxd.socket", "/var/lib/incus", "/run/incus", "/run/libvirt", "/run/xen",
	"/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket", "/run/dbus", "/run/systemd/private",
	"/run/systemd", "/run/udev", "/run/acpid.socket", "/run/cups", "/run/avahi-daemon", "/run/NetworkManager",
	"/run/wpa_supplicant", "/run/tailscale", "/run/pcscd", "/run/screen", "/run/supervisor.sock", "/run/uuidd",
	"/run/lvm", "/run/multipathd.socket", "/run/rpcbind.sock", "/run/sssd", "/run/spire", "/run/ssh-agent",
	"/run/guix", "/nix/var/nix/daemon-socket", "/var/guix/daemon-socket", "/run/nscd", "/run/qemu-ga",
	"/tmp/.X11-unix", "${SSH_AUTH_SOCK}", "${XDG_RUNTIME_DIR}/${WAYLAND_DISPLAY}", "/tmp/.ICE-unix", "/tmp/dbus-",
	"${XDG_RUNTIME_DIR}/bus", "${XDG_RUNTIME_DIR}/podman",
	"${XDG_RUNTIME_DIR}/docker.sock", "${XDG_RUNTIME_DIR}/docker", "${XDG_RUNTIME_DIR}/gnupg",
	"${XDG_RUNTIME_DIR}/systemd", "${XDG_RUNTIME_DIR}/keyring", "${XDG_RUNTIME_DIR}/gcr",
	"${XDG_RUNTIME_DIR}/ssh-agent.socket", "${XDG_RUNTIME_DIR}/wayland-0", "${XDG_RUNTIME_DIR}/wayland-1",
	"${XDG_RUNTIME_DIR}/pipewire-0", "${XDG_RUNTIME_DIR}/pulse", "${XDG_RUNTIME_DIR}/emacs",
	"${XDG_RUNTIME_DIR}/libvirt", "/run/user/${UID}/bus", "/run/user/${UID}", "/run/user", "${HOME}/.gnupg",
	"${HOME}/.docker", "${HOME}/.colima", "${HOME}/.lima", "${HOME}/.orbstack", "${HOME}/.ssh",
	"${SSH_AUTH_SOCK}", "/tmp/.X11-unix/X${DISPLAY}", "${XDG_RUNTIME_DIR}/${WAYLAND_DISPLAY}",
}

// placed is the first of the places that the path lies in, or that lies in it. The
// files of shipped and known places come before those that are over them.
func placed(p string, places []string) string {
	for _, d := range places {
		if Within(d, p) || Within(p, d) {
			return d
		}
	}
	return ""
}

// obeyed says what makes an entry that can be written dangerous: a place that it is,
// lies in, or has in it, and whether things are run there.
func obeyed(p string) (place string, runs bool) {
	if d := placed(p, runPlaces[:]); d != "" {
		return d, true
	}
	state := p
	if rest, ok := strings.CutPrefix(p, "/var/run/"); ok {
		state = "/run/" + rest
	}
	for _, d := range obeyedState {
		if Within(state, d) {
			return d, false
		}
	}
	for _, d := range obeyedPlaces {
		whole := slices.Contains(wholePlaces[:], d)
		// A log that is a file is appended to; a directory of logs is root's.
		log := d == "/var/log" && strings.HasSuffix(p, ".log")
		if Within(d, p) || Within(p, d) && !whole && !log {
			return d, false
		}
	}
	// By the shape of the name: what begins with a dot in a home, and everywhere the
	// directories that programs keep for themselves.
	for dir, at := p, ""; dir != "/" && dir != "." && dir != ""; dir = path.Dir(dir) {
		name := path.Base(dir)
		inHome := path.Dir(dir) == "${HOME}" || path.Dir(path.Dir(dir)) == "/home"
		if inHome && strings.HasPrefix(name, ".") || keptByPrograms(name) ||
			slices.Contains(toolFiles[:], name) {
			at = dir
		}
		if at != "" {
			return at, false
		}
	}
	return "", false
}

// secret is the place of secrets that an entry shows, and hide does not cover.
func (f *Files) secret(p string) string {
	hidden := func(d string) bool {
		return slices.ContainsFunc(f.Hide, func(h string) bool { return Within(d, withoutMark(h)) })
	}
	home := ""
	if strings.HasPrefix(p, "/home/") { // another's home, or one's own by its name
		home = path.Join("/home", strings.SplitN(p, "/", 4)[2])
	}
	for _, d := range secretState {
		if Within(p, d) && !hidden(d) {
			return d
		}
	}
	for _, d := range secretPlaces {
		if (Within(d, p) || Within(p, d) && !slices.Contains(wholePlaces[:], d)) && !hidden(d) {
			return d
		}
	}
	for _, name := range secretNames {
		for _, h := range [...]string{"${HOME}", home} {
			if d := path.Join(h, name); h != "" && (Within(d, p) || Within(p, d)) && !hidden(d) && !harmless(p) {
				return d
			}
		}
	}
	if p == "/home" {
		return p
	}
	return ""
}

// Obeyed says whether programs run or obey a file of that name by themselves, or, if it is
// a directory, what is in it.
func Obeyed(name string, dir bool) bool {
	if dir {
		return keptByPrograms(name)
	}
	_, mark := RepositoryMark(name)
	return mark || slices.Contains(toolFiles[:], name)
}

// harmless are parts of secret places that hold none: stores of packages, and what
// editors and programs look like.
func harmless(p string) bool {
	for _, name := range [...]string{
		".cargo/bin", ".cargo/registry", ".cargo/git", ".cargo/env", ".m2/repository", ".gradle/caches", ".gradle/wrapper",
		".nuget/packages", ".local/bin", ".local/lib", ".local/share/pnpm", ".local/share/mise", ".local/share/uv",
		".local/share/fonts", ".config/git/ignore", ".config/git/attributes", ".config/git/config", ".config/fish",
		".config/nvim",
		".config/helix", ".config/htop", ".config/fontconfig", ".cache/pip", ".cache/uv", ".cache/go-build", ".cache/ccache",
		".cache/yarn", ".cache/ms-playwright", ".cache/huggingface", ".cache/torch", ".cache/bazel", ".cache/sccache",
		".cache/fontconfig", ".cache/pre-commit", ".cache/Cypress", ".cache/deno", ".gem/ruby", ".bundle/cache",
	} {
		if Within(p, "${HOME}/"+name) {
			return true
		}
	}
	return false
}

// toolFiles are files that programs obey wherever they lie: package policies guards
// their like in a project.
var toolFiles = [...]string{
	".bashrc", ".bash_profile", ".bash_login", ".bash_logout", ".bash_aliases", ".profile", ".zshrc", ".zshenv",
	".zprofile", ".zlogin", ".kshrc", ".cshrc", ".tcshrc", ".login", ".envrc", ".vimrc", ".exrc", ".nvimrc", ".emacs",
	".gdbinit", ".lldbinit", ".pdbrc", ".gitconfig", ".gitmodules", ".gitattributes", ".pre-commit-config.yaml",
	".gitlab-ci.yml", ".travis.yml", ".drone.yml", ".woodpecker.yml", ".cirrus.yml", ".mcp.json", ".editorconfig",
	".tool-versions", ".npmrc", ".yarnrc", ".yarnrc.yml", ".pypirc", ".pnpmfile.cjs", ".Rprofile", ".inputrc",
	".screenrc", ".tmux.conf", ".xinitrc", ".xprofile", ".Xresources", ".netrc", ".forward", ".procmailrc", ".rhosts",
	"Jenkinsfile", "lefthook.yml", "AGENTS.md", "CLAUDE.md", "GEMINI.md",
}

// codeNames are variables by which the environment chooses code that runs. Addresses of
// package indexes are not among them: without its own an installer asks another one.
var codeNames = [...]string{
	"BASH_ENV", "ENV", "ZDOTDIR", "PROMPT_COMMAND", "PS4", "SHELLOPTS", "BASHOPTS", "BASH_FUNC_x%%", "GCONV_PATH",
	"GLIBC_TUNABLES", "NODE_OPTIONS", "NODE_PATH", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "PYTHONUSERBASE",
	"PYTHONINSPECT", "PYTHONBREAKPOINT", "PYTHONWARNINGS", "PERL5LIB", "PERLLIB", "PERL5OPT", "PERL5DB", "RUBYOPT",
	"RUBYLIB", "GEM_PATH", "GEM_HOME", "BUNDLE_GEMFILE", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS",
	"CLASSPATH", "MAVEN_OPTS", "GRADLE_OPTS", "LUA_PATH", "LUA_CPATH", "LUA_INIT", "PHPRC", "PHP_INI_SCAN_DIR",
	"DOTNET_STARTUP_HOOKS", "COR_PROFILER", "CORECLR_PROFILER", "CORECLR_PROFILER_PATH", "GIT_SSH", "GIT_SSH_COMMAND",
	"GIT_PROXY_COMMAND", "GIT_EXTERNAL_DIFF", "GIT_ASKPASS", "GIT_EDITOR", "GIT_SEQUENCE_EDITOR", "GIT_PAGER",
	"GIT_EXEC_PATH", "GIT_TEMPLATE_DIR", "GIT_CONFIG", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_COUNT",
	"GIT_CONFIG_PARAMETERS", "GIT_DIR", "SSH_ASKPASS", "SUDO_ASKPASS", "RUSTC", "RUSTC_WRAPPER",
	"CARGO_HOME", "GOTOOLCHAIN", "MAKEFILES", "OPENSSL_CONF", "OPENSSL_MODULES",
	"OPENSSL_ENGINES", "GTK_MODULES", "GTK_PATH", "GIO_EXTRA_MODULES", "QT_PLUGIN_PATH", "QT_QPA_PLATFORM_PLUGIN_PATH",
	"VIMINIT", "EXINIT", "VIM", "VIMRUNTIME", "LESSOPEN", "LESSCLOSE", "R_PROFILE", "R_PROFILE_USER", "R_HOME",
	"JULIA_LOAD_PATH", "JULIA_DEPOT_PATH", "ERL_FLAGS", "ERL_AFLAGS", "ELIXIR_ERL_OPTIONS",
	"npm_config_userconfig", "npm_config_script_shell", "PIP_CONFIG_FILE",
}

// loaderNames are those of them that nobody sets by chance.
var loaderNames = [...]string{
	"BASH_ENV", "ENV", "NODE_OPTIONS", "PYTHONSTARTUP", "PERL5OPT", "RUBYOPT", "JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS",
	"JDK_JAVA_OPTIONS", "DOTNET_STARTUP_HOOKS", "PROMPT_COMMAND", "LUA_INIT", "GCONV_PATH",
}

// secretVariables are those that a star is tried with.
var secretVariables = [...]string{
	"AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "SSH_AUTH_SOCK",
	"DBUS_SESSION_BUS_ADDRESS", "DATABASE_URL", "PGPASSWORD", "NPM_TOKEN", "GH_TOKEN", "GITLAB_TOKEN", "CI_JOB_TOKEN",
	"GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_API_KEY", "GEMINI_API_KEY", "AZURE_CLIENT_SECRET", "VAULT_TOKEN",
	"KUBECONFIG", "DOCKER_HOST", "DOCKER_AUTH_CONFIG", "MYSQL_PWD", "PGPASSFILE", "REDIS_URL", "MONGODB_URI",
	"HF_TOKEN", "SENTRY_DSN", "SLACK_TOKEN", "STRIPE_SECRET_KEY", "TWILIO_AUTH_TOKEN", "CARGO_REGISTRY_TOKEN",
	"TWINE_PASSWORD", "XAUTHORITY", "GPG_AGENT_INFO", "KRB5CCNAME", "NETRC", "SUDO_ASKPASS", "TF_VAR_password",
	"DIGITALOCEAN_TOKEN", "CLOUDFLARE_API_TOKEN", "HEROKU_API_KEY", "NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY",
}

// isSecretName says so of a variable's name by its shape.
func isSecretName(name string) bool {
	upper := strings.ToUpper(name)
	for _, part := range [...]string{
		"TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "API_KEY", "APIKEY", "ACCESS_KEY",
		"PRIVATE_KEY", "COOKIE", "_DSN", "_PWD", "_AUTH",
	} {
		if strings.Contains(upper, part) {
			return true
		}
	}
	return slices.Contains(secretVariables[:], name)
}

// SecretName says whether a variable of that name looks like one that holds a secret.
func SecretName(name string) bool { return isSecretName(name) }
