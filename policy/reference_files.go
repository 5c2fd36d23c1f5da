package policy

// fileSamples are the samples of [files].
func fileSamples() map[string]sample {
	return map[string]sample{
		"files.read": {
			good: `[files]
read = ["/srv/www", "?/etc/nginx", "."]`,
			bad: `[files]
read = ["srv/www"]`,
			more: "Paths are absolute or begin with ~/, ./ (the project that the caller stands in) or a variable " +
				"such as ${XDG_CACHE_HOME}.",
		},
		"files.write": {
			good: `[files]
write = ["./data", "?~/.cache/shop"]`,
			bad: `[files]
write = ["./data/../logs"]`,
			more: "Paths are absolute or begin with ~/, ./ (the project that the caller stands in) or a variable " +
				"such as ${XDG_CACHE_HOME}.",
		},
		"files.hide": {
			good: `[files]
read = ["."]
hide = ["*.pem", "?**/.env*", "./private"]`,
			bad: `[files]
hide = ["logs/*.txt"]`,
			more: "A pattern is looked for at the top of each shown project, behind **/ at any depth. It covers " +
				"what is there at the start.",
		},
		"files.unhide": {
			good: `[files]
read = ["."]
hide = ["**/.env*"]
unhide = ["*.example", "node_modules/", "./test/.env"]`,
			bad: `[files]
unhide = ["**/node_modules"]`,
			more: "A name counts at any depth. Behind a name, / means directories in which no secrets are looked for, " +
				"such as trees of packages. A path also takes out what hide says of it by path.",
		},
		"files.inspect": {
			good: `[files]
read = ["."]
hide = ["**/*.pem"]
inspect = ["*.pem", "config"]`,
			bad: `[files]
inspect = ["**/*.pem"]`,
			more: "Files that are PEM text without a private key are shown, those with a private key or a credential " +
				"in settings of git's kind are hidden, and so are those that cannot be read. All else is left to hide.",
		},
		"files.guard": {
			good: `[files]
write = ["."]
guard = ["**/.git", ".*", "Jenkinsfile*"]`,
			bad: `[files]
guard = ["ci/deploy.sh"]`,
			more: "For what other programs run or obey later by themselves. A / behind means directories only.",
		},
		"files.unguard": {
			good: `[files]
write = ["."]
guard = [".*"]
unguard = [".venv/", ".cache"]`,
			bad: `[files]
unguard = ["./.venv"]`,
		},
		"files.tmpfs": {
			good: `[files]
tmpfs = ["/tmp", "~"]`,
			bad: `[files]
tmpfs = "/tmp"`,
		},
		"files.overlay": {
			good: `[files]
overlay = ["./node_modules"]`,
			bad: `[files]
overlay = ["/opt/app", "/opt/app"]`,
			more: "An overlayfs: what is written goes on top, and is gone at the end unless the path has an upper.",
		},
		"files.directories": {
			good: `[files]
directories = ["/srv", "/mnt"]`,
			bad: `[files]
directories = ["srv"]`,
		},
		"files.sockets": {
			good: `[files]
sockets = ["/run/postgresql", "?${XDG_RUNTIME_DIR}/bus"]`,
			bad: `[files]
sockets = ["unix:/run/postgresql"]`,
			more: "Other Unix sockets under shown paths cannot be connected to; \"/\" is all. See docs/landlock.md " +
				"for older kernels.",
		},
		"files.devices": {
			good: `[files]
devices = ["/dev/kvm", "?/dev/dri"]`,
			bad: `[files]
devices = ["/dev/null"]`,
			more: "They are opened as their modes allow. In read and write devices are errors: no other mount lets them " +
				"be used.",
		},
		"files.own_sockets": {
			good: `[files]
own_sockets = true`,
			bad: `[files]
own_sockets = ["/tmp"]`,
			more: "Where masks keep programs from the host's sockets, those that somebody makes there after the start are open.",
		},
		"files.file": {
			good: `[files.file]
"/etc/resolv.conf" = """
nameserver 9.9.9.9
"""`,
			bad: `[files.file]
"etc/resolv.conf" = "nameserver 9.9.9.9"`,
			more: "false takes out what is inherited.",
		},
		"files.symlink": {
			good: `[files.symlink]
"/bin" = "usr/bin"`,
			bad: `[files.symlink]
"/bin" = true`,
			more: "false takes out what is inherited.",
		},
		"files.path": {
			good: `[files]
tmpfs = ["/tmp"]
path."/tmp" = { size = "64M", exec = false }`,
			bad: `[files]
path."/tmp" = { size = "64M" }`,
			more: "false takes out what is inherited.",
		},
		"files.path.from": {
			good: `[files]
read = ["/etc/app.conf"]
path."/etc/app.conf" = { from = "./app.conf" }`,
			bad: `[files]
read = ["/etc/app.conf"]
path."/etc/app.conf" = { from = "fd:1" }`,
			deflt: "the path itself",
		},
		"files.path.exec": {
			good: `[files]
write = ["./data"]
path."./data" = { exec = false }`,
			bad: `[files]
write = ["./data"]
path."./data" = { exec = "no" }`,
		},
		"files.path.size": {
			good: `[files]
tmpfs = ["/tmp"]
path."/tmp" = { size = "64M" }`,
			bad: `[files]
read = ["/srv"]
path."/srv" = { size = "64M" }`,
			deflt: "limits.tmp, else half of the memory",
		},
		"files.path.owner": {
			good: `[files]
tmpfs = ["/var/cache/nginx"]
path."/var/cache/nginx" = { owner = "?www-data" }`,
			bad: `[files]
tmpfs = ["/tmp"]
path."/tmp" = { owner = "www data" }`,
			deflt: "the one who starts sbx",
		},
		"files.path.mode": {
			good: `[files]
tmpfs = ["/tmp"]
path."/tmp" = { mode = "1777" }`,
			bad: `[files]
tmpfs = ["/tmp"]
path."/tmp" = { mode = "rwx" }`,
			deflt: "see docs/files.md",
		},
		"files.path.upper": {
			good: `[files]
overlay = ["/opt/app"]
path."/opt/app" = { upper = "./changes", work = "./work" }`,
			bad: `[files]
overlay = ["/opt/app"]
path."/opt/app" = { upper = "./changes" }`,
			deflt: "a tmpfs that is gone afterwards",
			more:  "It goes with work.",
		},
		"files.path.work": {
			good: `[files]
overlay = ["/opt/app"]
path."/opt/app" = { upper = "./changes", work = "./work" }`,
			bad: `[files]
overlay = ["/opt/app"]
path."/opt/app" = { work = "./work" }`,
			deflt: "a tmpfs that is gone afterwards",
			more:  "It goes with upper.",
		},
		"files.proc": {
			good: `[files]
proc = false`,
			bad: `[files]
proc = "no"`,
		},
		"files.dev": {
			good: `[files]
dev = false`,
			bad: `[files]
dev = 0`,
		},
		"files.set_id": {
			good: `[files]
set_id = false`,
			bad: `[files]
set_id = "no"`,
			more: "False refuses the set-user-ID and the set-group-ID bit in every call. Directories get their set-group-ID " +
				"bit nevertheless, from sbx. openat2(2) is refused to root where a directory of the host can be written; for a " +
				"user sbx looks for new set-id files at the end, takes the bits from them, and names them. Every role says it.",
		},
	}
}
