package policy

// namespaceSamples are those of [namespaces].
func namespaceSamples() map[string]sample {
	return map[string]sample{
		"namespaces.all": {
			good: `[namespaces]
all = "host"`,
			bad: `[namespaces]
all = "none"`,
			more: "For machines and containers where namespaces are forbidden: docs/no-namespaces.md says what is weaker " +
				"then. The other keys keep their meaning where there is another way: net = \"new\" is no network.",
		},
		"namespaces.user": {
			good: `[namespaces]
user = "new"`,
			bad: `[namespaces]
user = "none"`,
			more: "With user = \"new\" and uid = 0 the program is root in there, and nowhere else.",
		},
		"namespaces.mount": {
			good: `[namespaces]
mount = "host"`,
			bad: `[namespaces]
mount = "shared"`,
			more: "With \"host\" there is no root file system of the program's own: Landlock alone restricts " +
				"files.",
		},
		"namespaces.pid": {
			good: `[namespaces]
pid = "new"`,
			bad: `[namespaces]
pid = "private"`,
			more: "In a new one the program sees its own processes only, and all of them end with it.",
		},
		"namespaces.net": {
			good: `[namespaces]
net = "host"`,
			bad: `[namespaces]
net = "none"`,
			more: "A new one has a loopback and nothing else.",
		},
		"namespaces.ipc": {
			good: `[namespaces]
ipc = "new"`,
			bad: `[namespaces]
ipc = "isolated"`,
			more: "System V IPC and POSIX message queues.",
		},
		"namespaces.uts": {
			good: `[namespaces]
uts = "new"`,
			bad: `[namespaces]
uts = "hidden"`,
			more: "Host name and domain name.",
		},
		"namespaces.cgroup": {
			good: `[namespaces]
cgroup = "new"`,
			bad: `[namespaces]
cgroup = "off"`,
		},
		"namespaces.time": {
			good: `[namespaces]
time = "new"`,
			bad: `[namespaces]
time = "now"`,
		},
		"namespaces.uid": {
			good: `[namespaces]
user = "new"
uid = 0
gid = 0`,
			bad: `[namespaces]
uid = "root"`,
			deflt: "the caller's id on the host",
		},
		"namespaces.gid": {
			good: `[namespaces]
user = "new"
uid = 1000
gid = 1000`,
			bad: `[namespaces]
user = "host"
gid = 0`,
			deflt: "the caller's id on the host",
		},
		"namespaces.ranges": {
			good: `[namespaces]
user = "new"
ranges = true`,
			bad: `[namespaces]
user = "host"
ranges = true`,
			more: "newuidmap(1) and newgidmap(1) do it.",
		},
		"namespaces.hostname": {
			good: `[namespaces]
hostname = "box"`,
			bad: `[namespaces]
hostname = "my box"`,
			deflt: "the host's",
		},
		"namespaces.monotonic": {
			good: `[namespaces]
time = "new"
monotonic = "24h"`,
			bad: `[namespaces]
time = "new"
monotonic = "1d"`,
			deflt: "no offset",
			more:  "It goes with time = \"new\".",
		},
		"namespaces.boottime": {
			good: `[namespaces]
time = "new"
boottime = "-2h"`,
			bad: `[namespaces]
time = "new"
boottime = "yesterday"`,
			deflt: "no offset",
		},
	}
}
