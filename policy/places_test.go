package policy

import (
	"strings"
	"testing"
)

// rulesOf are the kinds of findings of a policy that says no more than the text.
func rulesOf(t *testing.T, text string) (rules []string) {
	t.Helper()
	file, err := Parse("p", []byte(head+text+tail+"deny = ['read /x']\n"))
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	whole, err := Resolve(file, findNone)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	for _, f := range lint(t, file, nil, whole) {
		rules = append(rules, f.Rule)
	}
	return rules
}

// TestDangerous: each of these entries, by itself, is dangerous.
func TestDangerous(t *testing.T) {
	count := 0
	for _, c := range []struct{ text, rules, entries string }{
		{"[files]\nwrite = ['%s']", "path-writable startup-writable host-proc host-device",
			"/ ~ ~/bin ~/.local ~/.local/bin ~/.local/lib ~/.cargo ~/.cargo/bin ~/go ~/go/bin /usr /usr/local /usr/local/bin " +
				"/usr/share /usr/lib/python3 /bin /sbin /lib /lib64 /opt /opt/tool /snap /nix /nix/store " +
				"/etc /etc/cron.d /etc/profile.d /etc/ld.so.preload /etc/hosts /etc/resolv.conf /etc/nginx /boot /root " +
				"/root/.ssh /home /home/other/.bashrc /sys /sys/fs/cgroup /sys/power /proc /proc/sys /dev /dev/sda /dev/shm /run " +
				"/run/systemd /run/udev /run/user /var /var/run /var/lib /var/lib/docker /var/lib/dpkg /var/lib/systemd " +
				"/var/lib/private/x /var/lib/nginx /run/udev/rules.d /var/run/systemd " +
				"/var/spool /var/spool/cron /var/cache /var/cache/apt /var/log /var/log/journal /var/mail /var/backups /tmp " +
				"/var/tmp /srv " +
				"~/.zshrc ~/.bashrc ~/.profile ~/.bash_profile ~/.zshenv ~/.inputrc ~/.cache ~/.cache/pip ~/.config " +
				"~/.config/fish ~/.config/git ~/.config/autostart ~/.config/systemd/user ~/.config/nvim ~/.config/Code ~/.vim " +
				"~/.vimrc ~/.emacs.d ~/.gitconfig ~/.git-templates ~/.ssh ~/.ssh/authorized_keys ~/.gnupg ~/.npm ~/.npmrc " +
				"~/.nvm ~/.pyenv ~/.rbenv ~/.asdf ~/.volta ~/.sdkman ~/.bun ~/.deno ~/.rustup ~/.m2 ~/.gradle ~/.docker ~/.kube " +
				"~/.aws ~/.vscode ~/.vscode-server ~/.cursor ~/.claude ~/.codex ~/.gemini ~/.mozilla ~/.pki ~/.oh-my-zsh " +
				"~/.tmux.conf ~/.xinitrc ~/.direnv ~/.ipython ~/.jupyter ~/.R ~/.terraform.d ~/.ansible ~/Desktop " +
				"${XDG_CONFIG_HOME} ${XDG_CONFIG_HOME}/sbx ${XDG_DATA_HOME} ${XDG_CACHE_HOME}/sbx ${XDG_STATE_HOME} " +
				"${XDG_RUNTIME_DIR} ./.git ./.git/hooks ./.git/config ./.github ./.github/workflows ./.gitlab-ci.yml " +
				"./.vscode ./.idea ./.husky ./.envrc ./.devcontainer ./sub/.git/hooks ./AGENTS.md ./Jenkinsfile"},
		{"[files]\nread = ['/x']\npath.'/x'.from = '%s'", "secret-shown host-proc host-device",
			"/ ~ /home /root /etc /proc /dev ~/.ssh /etc/shadow /var/lib/docker"},
		{"[files]\nwrite = ['/x']\npath.'/x'.from = '%s'", "path-writable startup-writable",
			"/ ~ /etc /usr/bin ~/.config /run"},
		{"[files]\noverlay = ['/srv/x']\npath.'/srv/x' = { upper = '%s', work = '/srv/w' }", "startup-writable path-writable",
			"/etc/x ~/.config/x /usr/local/bin"},
		{"[files]\nread = ['%s']", "secret-shown host-proc host-device",
			"/ ~ /home /home/other /root " +
				"/etc /etc/shadow /etc/gshadow /etc/ssh /etc/sudoers /etc/wireguard /etc/NetworkManager " +
				"/etc/kubernetes /var /var/lib /var/lib/docker /var/lib/mysql /var/lib/kubelet /var/log /var/log/auth.log " +
				"/var/mail /var/spool/cron /var/backups /run /run/systemd /run/secrets /run/user /run/credentials /proc " +
				"/proc/kcore /sys /sys/fs/cgroup /sys/kernel/debug /sys/kernel/security /sys/firmware /dev /dev/mem /dev/kvm " +
				"/dev/input /dev/sda ~/.ssh ~/.ssh/id_ed25519 ~/.gnupg ~/.aws ~/.aws/credentials ~/.azure ~/.kube ~/.docker " +
				"~/.config ~/.config/gh ~/.config/gcloud ~/.config/google-chrome ~/.mozilla ~/.netrc ~/.npmrc ~/.pypirc " +
				"~/.pgpass ~/.git-credentials ~/.password-store ~/.bash_history ~/.zsh_history ~/.python_history " +
				"~/.local/share/keyrings ~/.cargo/credentials.toml ~/.m2/settings.xml ~/.terraform.d ~/.vault-token ~/.s3cfg " +
				"~/.claude ~/.codex ~/.gemini ~/.bitcoin ~/.thunderbird ~/.cache ~/.viminfo ${XDG_RUNTIME_DIR} " +
				"${XDG_CONFIG_HOME}/gh"},
		{"[files]\noverlay = ['%s']", "secret-shown", "~ /etc /root ~/.ssh /var/lib"},
		{"[files]\nunhide = ['%s']", "secret-shown", "* .env* *.env *.key id_* */ src/ s*/"},
		{"[files]\nsockets = ['%s']", "socket",
			"/ /run /var/run/docker.sock /run/docker.sock /run/containerd/containerd.sock /run/podman/podman.sock " +
				"/run/crio/crio.sock /run/buildkit/buildkitd.sock /run/k3s/containerd/containerd.sock /run/snapd.socket " +
				"/var/lib/lxd/unix.socket /var/snap/lxd/common/lxd/unix.socket /var/lib/incus/unix.socket " +
				"/run/libvirt/libvirt-sock /run/libvirt /run/dbus/system_bus_socket /run/systemd/private " +
				"/run/systemd/journal/socket /run/systemd/notify /run/udev/control /run/acpid.socket /run/cups/cups.sock " +
				"/run/screen /nix/var/nix/daemon-socket/socket /tmp /tmp/.X11-unix ${XDG_RUNTIME_DIR}/bus ${XDG_RUNTIME_DIR} " +
				"${XDG_RUNTIME_DIR}/podman/podman.sock ${XDG_RUNTIME_DIR}/docker.sock ${XDG_RUNTIME_DIR}/gnupg/S.gpg-agent " +
				"${XDG_RUNTIME_DIR}/keyring/ssh ${XDG_RUNTIME_DIR}/systemd/private ${XDG_RUNTIME_DIR}/wayland-0 " +
				"${XDG_RUNTIME_DIR}/pipewire-0 ${XDG_RUNTIME_DIR}/emacs/server ~/.ssh/agent ~/.gnupg/S.gpg-agent " +
				"~/.docker/run/docker.sock /run/user/${UID}/bus ~"},
		{"[process]\nenv = ['%s']", "env-code env-secret",
			"* LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT LD_* BASH_ENV ENV NODE_OPTIONS NODE_PATH NODE_* PYTHONPATH PYTHONSTARTUP " +
				"PYTHON* PERL5LIB PERL5OPT RUBYOPT RUBYLIB JAVA_TOOL_OPTIONS _JAVA_OPTIONS CLASSPATH GIT_SSH_COMMAND GIT_* " +
				"GIT_EXTERNAL_DIFF GIT_CONFIG_COUNT RUSTC_WRAPPER GCONV_PATH PROMPT_COMMAND ZDOTDIR LUA_INIT PHPRC " +
				"DOTNET_STARTUP_HOOKS OPENSSL_CONF GTK_MODULES LESSOPEN VIMINIT LD_PRELOAD=/x.so BASH_ENV=/x NODE_OPTIONS=-r=/x " +
				"AWS_SECRET_ACCESS_KEY AWS_* GITHUB_TOKEN GH_TOKEN GITHUB_* OPENAI_API_KEY ANTHROPIC_API_KEY MY_OWN_TOKEN " +
				"DB_PASSWORD STRIPE_SECRET_KEY SSH_AUTH_SOCK DBUS_SESSION_BUS_ADDRESS DATABASE_URL KUBECONFIG DOCKER_HOST " +
				"VAULT_TOKEN NPM_TOKEN XAUTHORITY HF_TOKEN SENTRY_DSN"},
		{"[process]\ncapabilities = ['%s']", "capability",
			"sys_admin sys_module sys_rawio sys_ptrace sys_boot bpf mknod setfcap mac_admin mac_override dac_read_search " +
				"dac_override setuid setgid setpcap chown fowner fsetid net_admin net_raw sys_chroot sys_time sys_resource " +
				"syslog audit_control perfmon checkpoint_restore linux_immutable ipc_owner sys_nice ?setuid"},
		{"[seccomp]\nallow = ['%s']", "kernel-surface nest terminal-input",
			"ptrace process_vm_writev process_vm_readv bpf perf_event_open userfaultfd io_uring_setup keyctl add_key " +
				"request_key kexec_load kexec_file_load init_module finit_module delete_module open_by_handle_at mount umount2 " +
				"fsopen fsmount move_mount mount_setattr pivot_root chroot iopl ioperm swapon reboot settimeofday acct quotactl " +
				"syslog fanotify_init pidfd_getfd kcmp @debug @mount @known @nest @terminal-input"},
		{"[namespaces]\n%s = 'host'", "host-proc host-mount host-ipc", "pid mount ipc"},
		{"[seccomp]\n%s = 'allow'", "default-allow", "default unknown"},
		{"[process]\n%s", "nest landlock-off", "nest=true landlock='off'"},
	} {
		for entry := range strings.FieldsSeq(c.entries) {
			count++
			found := false
			rules := rulesOf(t, strings.Replace(c.text, "%s", entry, 1))
			for _, r := range rules {
				found = found || strings.Contains(" "+c.rules+" ", " "+r+" ")
			}
			if !found {
				t.Errorf("%s: found %q", strings.Replace(c.text, "%s", entry, 1), rules)
			}
		}
	}
	if count < 300 {
		t.Errorf("only %d entries", count)
	}
}

// TestHarmless: nothing is found where there is nothing to find.
func TestHarmless(t *testing.T) {
	for _, c := range []struct{ text, entries string }{
		{"[files]\nwrite = ['%s']", ". ./src ./target ~/src ~/projects/x ~/Documents/work /data /data/x /mnt/x /media/usb " +
			"/tmp/x /var/tmp/x /home/me/src /srv/data /var/lib/x /var/lib/myapp/db /var/lib/postgresql " +
			"/var/cache/myapp /run/myapp /var/run/myapp /run/postgresql /var/spool/myapp /var/opt/x " +
			"/var/log/x/access.log /workspace /workspaces/x"},
		{"[files]\nread = ['%s']", ". ~/src /usr /usr/share /opt/tool /bin /lib /etc/ssl/certs /etc/hosts /etc/passwd " +
			"/etc/nginx /data /srv /mnt ~/.gitconfig ~/.vimrc ~/.cargo/bin ~/.cargo/registry ~/.rustup ~/.nvm ~/.pyenv " +
			"~/.m2/repository ~/.cache/pip ~/.config/nvim ~/.config/git/config /var/lib/x " +
			"/var/cache/x /var/spool/x /run/x ~/.local/bin ~/go /sys/devices /sys/class/net /home/me/src"},
		{"[files]\nsockets = ['%s']", "/run/mysqld/mysqld.sock /run/postgresql /run/php /data/app.sock ./x.sock"},
		{"[process]\nenv = ['%s']", "PATH HOME LANG LC_* TERM EDITOR PAGER CC CFLAGS MAKEFLAGS GOFLAGS CARGO_TERM_COLOR " +
			"JAVA_HOME GOPATH VIRTUAL_ENV NODE_ENV DEBUG TZ CI DISPLAY A=1 PYTHONPATH=/x"},
		{"[files]\nunhide = ['%s']", "*.example *.pub node_modules/ target/ ./.env testdata/"},
		{"[process]\ncapabilities = ['%s']", "net_bind_service ?net_bind_service"},
		{"[seccomp]\nallow = ['%s']", "@basic-io @file-system read chown mincore"},
	} {
		for entry := range strings.FieldsSeq(c.entries) {
			for _, r := range rulesOf(t, strings.Replace(c.text, "%s", entry, 1)) {
				if r != "capability-call" && r != "no-effect" {
					t.Errorf("%s: %s", strings.Replace(c.text, "%s", entry, 1), r)
				}
			}
		}
	}
}

// TestNotShadowed: entries that stand below another one and say more.
func TestNotShadowed(t *testing.T) {
	for _, text := range []string{
		"read = ['/p', '/p/.env']\nhide = ['.env*']",
		"read = ['/p', '/p/Key.PEM']\nhide = ['?**/*.pem']",
		"read = ['/p', '/p/.aws/config']\nhide = ['.aws']",
		"read = ['/p', '/p/x']\npath.'/p'.exec = false",
		"read = ['/p', '/p/x']\npath.'/p/x'.exec = false",
		"write = ['/p', '/p/x']\npath.'/p'.exec = false",
		"read = ['/p', '/p/x']\npath.'/p'.from = '/q'",
		"read = ['/p', '/p/x']\npath.'/p/x'.from = '/q'",
		"read = ['/p', '/p/t/x']\ntmpfs = ['/p/t']",
		"read = ['/p', '/p/o/x']\noverlay = ['/p/o']",
		"read = ['/p', '/p/d/x']\ndirectories = ['/p/d']",
		"write = ['/p', '/p/r/w']\nread = ['/p/r']",
		"read = ['/p', '/p/w/r']\nwrite = ['/p/w']",
		"write = ['/data', '/data/.github']\nguard = ['.*']",
		"write = ['/data', '/data/x.code-workspace']\nguard = ['**/*.code-workspace']",
	} {
		for _, r := range rulesOf(t, "[files]\n"+text) {
			if r == "shadowed" {
				t.Errorf("%s: shadowed", text)
			}
		}
	}
	for _, text := range []string{
		"read = ['/p', '/p/x']", "read = ['/p', '/p/x']\nhide = ['.env']", "write = ['/p', '/p/x/y']",
		"read = ['/p', '/p/x', '/p/x/y']", "read = ['?/p', '?/p/x']",
	} {
		if rules := rulesOf(t, "[files]\n"+text); len(rules) == 0 || rules[0] != "shadowed" {
			t.Errorf("%s: %q", text, rules)
		}
	}
}

// TestToolPlaces: what programs keep for themselves is dangerous in a home and in a
// project alike.
func TestToolPlaces(t *testing.T) {
	for _, name := range append(toolDirs[:len(toolDirs):len(toolDirs)], toolFiles[:]...) {
		for _, dir := range []string{"~", ".", "./sub", "/data/p"} {
			if rules := rulesOf(t, "[files]\nwrite = ['"+dir+"/"+name+"']"); len(rules) == 0 {
				t.Errorf("%s/%s: nothing", dir, name)
			}
		}
	}
}
