package policy

import "maps"

// samples has for each key an example, a mistake that is easily made, and what
// else is to be said. Reference puts them beside the keys, and tries them all.
func samples() map[string]sample {
	all := map[string]sample{
		"version": {
			good:  "version = 1",
			bad:   "version = 2",
			deflt: "none: it must be said",
			more:  "Every file has it. What a name or @group means under a version never changes.",
		},
		"summary": {
			good:  `summary = "The shop: serves site/ on port 8080"`,
			bad:   `summary = ["The shop"]`,
			deflt: "none",
			more:  "\"sbx policy list\" prints it. At most 200 bytes.",
		},
		"extends": {
			good: `extends = ["base", "./company.toml"]`,
			bad:  `extends = ["Base"]`,
			more: "Lists add up, single values override, and \"!x\" takes an inherited x out. A name with a slash " +
				"is a file, seen from the directory of this one.",
		},
		"process.capabilities": {
			good: `[process]
capabilities = ["net_bind_service", "?setuid"]`,
			bad: `[process]
capabilities = ["net_bind"]`,
			more: "All others go, from all five sets, root's too.",
		},
		"process.env": {
			good: `[process]
env = ["LANG", "LC_*", "DATABASE_URL=postgresql:///shop"]`,
			bad: `[process]
env = ["SHOP-KEY"]`,
			more: "All other variables stay out. A value may have variables such as ${HOME}.",
		},
		"process.ambient": {
			good: `[process]
capabilities = ["net_bind_service"]
ambient = true`,
			bad: `[process]
ambient = ["net_bind_service"]`,
		},
		"process.nest": {
			good: `[process]
nest = true`,
			bad: `[namespaces]
net = "host"
[network]
connect = []
[process]
nest = true`,
			more: "For sandboxes inside. /proc is whole and writable then, and there is no Landlock. Root is refused: it " +
				"could write to the machine's /proc/sys.",
		},
		"process.landlock": {
			good: `[process]
landlock = "require"`,
			bad: `[process]
landlock = "on"`,
			more: "\"require\" refuses to start without Landlock.",
		},
		"report.keep": {good: "[report]\nkeep = true", bad: "[report]\nkeep = \"always\""},
		"process.landlock_log": {
			good: `[process]
landlock_log = true`,
			bad: `[process]
landlock_log = "audit"`,
			more: "Linux 6.15; records 1423 and 1424 of the audit log.",
		},
		"process.supervise": {
			good: `[namespaces]
pid = "host"
[process]
supervise = false`,
			bad: `[process]
supervise = "exec"`,
			more: "See docs/exec-in-place.md for what takes a process that stays, and is refused then.",
		},
		"process.terminal": {
			good: `[process]
terminal = "pty"`,
			bad: `[process]
terminal = "tty"`,
			more: "See docs/terminal.md.",
		},
		"process.apparmor": {
			good: `[process]
apparmor = "shop"`,
			bad: `[process]
apparmor = "my shop"`,
			deflt: "the caller's",
			more:  "Without AppArmor on the machine it is an error.",
		},
		"process.selinux": {
			good: `[process]
selinux = "system_u:system_r:httpd_t:s0"`,
			bad: `[process]
selinux = "httpd t"`,
			deflt: "the caller's",
			more:  "Without SELinux on the machine it is an error.",
		},
		"limits.processes": {
			good: `[limits]
processes = 512`,
			bad: `[limits]
processes = "many"`,
			more: "Threads count. The one that limits processes is a cgroup, else RLIMIT_NPROC: docs/limits.md.",
		},
		"limits.memory": {
			good: `[limits]
memory = "?512M"`,
			bad: `[limits]
memory = 512`,
			more: "It takes a cgroup: docs/limits.md.",
		},
		"limits.cpu": {
			good: `[limits]
cpu = "?150%"`,
			bad: `[limits]
cpu = "1.5"`,
			more: "It takes a cgroup.",
		},
		"limits.io": {
			good: `[limits]
io = "?10M"`,
			bad: `[limits]
io = "10MB/s"`,
			more: "It takes a cgroup.",
		},
		"limits.time": {
			good: `[limits]
time = "1h30m"`,
			bad: `[limits]
time = "90 minutes"`,
			more: "When it is over, all processes are killed.",
		},
		"limits.cpu_time": {
			good: `[limits]
cpu_time = "90s"`,
			bad: `[limits]
cpu_time = "0s"`,
		},
		"limits.file_size": {
			good: `[limits]
file_size = "2G"`,
			bad: `[limits]
file_size = "2GiB"`,
		},
		"limits.open_files": {
			good: `[limits]
open_files = 1024`,
			bad: `[limits]
open_files = -1`,
		},
		"limits.core": {
			good: `[limits]
core = 0`,
			bad: `[limits]
core = "no"`,
		},
		"limits.tmp": {
			good: `[limits]
tmp = "64M"`,
			bad: `[limits]
tmp = "64 M"`,
		},
		"seccomp.oci": {
			good: `[seccomp]
oci = "./docker-default.json"`,
			bad: `[seccomp]
oci = "./docker-default.json"
default = "allow"`,
			deflt: "none",
			more:  "Beside it, deny and rules can take calls away.",
		},
		"seccomp.default": {
			good: `[seccomp]
default = "kill-process"`,
			bad: `[seccomp]
default = "EPERM"`,
		},
		"seccomp.unknown": {
			good: `[seccomp]
unknown = "errno:ENOSYS"`,
			bad: `[seccomp]
unknown = "errno:ENOSUCH"`,
			more: "So programs find what they would find on an older kernel.",
		},
		"seccomp.allow": {
			good: `[seccomp]
allow = ["@system-service", "ptrace"]`,
			bad: `[seccomp]
allow = ["system-service"]`,
			more: "\"sbx seccomp resolve @system-service\" lists a group's members.",
		},
		"seccomp.deny": {
			good: `[seccomp]
deny = ["@debug", "memfd_create"]`,
			bad: `[seccomp]
deny = ["memfd_crate"]`,
		},
		"seccomp.architectures": {
			good: `[seccomp]
architectures = ["x86"]`,
			bad: `[seccomp]
architectures = ["pdp11"]`,
		},
		"seccomp.log": {
			good: `[seccomp]
log = true`,
			bad: `[seccomp]
log = "all"`,
		},
		"seccomp.spec_allow": {
			good: `[seccomp]
spec_allow = true`,
			bad: `[seccomp]
spec_allow = 1`,
		},
		"seccomp.wait_killable": {
			good: `[seccomp]
wait_killable = true`,
			bad: `[seccomp]
wait_killable = 1`,
		},
		"seccomp.rule.syscalls": {
			good: `[[seccomp.rule]]
syscalls = ["personality"]
when = ["arg0 == 0", "arg0 == ADDR_NO_RANDOMIZE"]
action = "allow"`,
			bad: `[[seccomp.rule]]
syscalls = []
action = "allow"`,
			deflt: "none: it must be said",
			more:  "If all begin with \"!\", the rule takes those calls out of the rules inherited.",
		},
		"seccomp.rule.when": {
			good: `[[seccomp.rule]]
syscalls = ["socket"]
when = ["arg0 in {AF_UNIX, AF_INET, AF_INET6}", "arg0 == AF_NETLINK && arg2 == 0"]
action = "allow"`,
			bad: `[[seccomp.rule]]
syscalls = ["socket"]
when = ["arg0 = AF_UNIX"]
action = "allow"`,
			deflt: "always",
		},
		"seccomp.rule.action": {
			good: `[[seccomp.rule]]
syscalls = ["chmod", "fchmod"]
action = "errno:EPERM"`,
			bad: `[[seccomp.rule]]
syscalls = ["chmod"]`,
			deflt: "none: it must be said",
			more:  "Of two rules the stricter answer counts.",
		},
		"expect.allow": {
			good: `[expect]
allow = ["read ./site", "syscall getrandom", "env LANG"]`,
			bad: `[expect]
allow = ["see ./site"]`,
			more: "docs/policy-tests.md has what can stand in a line. With ? in front it may be left untried.",
		},
		"expect.deny": {
			good: `[expect]
deny = ["write /etc/x", "connect 127.0.0.1:22", "syscall unshare CLONE_NEWUSER"]`,
			bad: `[expect]
deny = ["syscall mont"]`,
		},
	}
	maps.Copy(all, fileSamples())
	maps.Copy(all, namespaceSamples())
	maps.Copy(all, networkSamples())
	return all
}
