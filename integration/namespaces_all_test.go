package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestAllOfHost: no namespace at all, by root; all but the user namespace, by
// a user. What is left are capabilities, Landlock and the filter.
func TestAllOfHost(t *testing.T) {
	dir := t.TempDir()
	text := strings.Replace(bareText, "mount = \"host\"",
		"mount = \"host\"\npid = \"host\"\nnet = \"host\"\nipc = \"host\"\nuts = \"host\"\ncgroup = \"host\"", 1)
	text = strings.Replace(text, "[\"/usr\"", "[\"/proc\", \"/usr\"", 1)
	args := bareArgs(t, dir, text)
	if refusedBefore(t, 6, args) {
		return
	}
	r := run(t, call{args: append(args, "/bin/sh", "-c",
		binary("probe")+" ns; "+binary("probe")+" caps; kill -9 $PPID; (setsid sleep 1000 &); cat /etc/passwd; exit 6"),
		dir: dir})
	want := []string{"CapEff: none", "CapBnd: none", "NoNewPrivs: 1", "Seccomp: 2"}
	for _, kind := range []string{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"} {
		link, err := os.Readlink("/proc/thread-self/ns/" + kind)
		if err != nil {
			t.Fatal(err)
		}
		if kind != "user" || asRoot() {
			want = append(want, kind+": "+link)
		}
	}
	r.want(t, 6, want...)
	if strings.Contains(r.stdout, "root:") {
		t.Error(r)
	}
	noStrays(t)
}

// TestJoinedContainer: all of somebody else's, as one enters a container.
func TestJoinedContainer(t *testing.T) {
	dir := t.TempDir()
	flags := []string{"--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc", "--net",
		"--ipc", "--uts", "--cgroup"}
	if !asRoot() {
		flags = append(flags, "--user", "--map-root-user")
	}
	own := space(t, flags...)
	all := ""
	kinds := []string{"pid", "net", "ipc", "uts", "cgroup"}
	if !asRoot() {
		all = "uid = 0\ngid = 0\n"
		kinds = append(kinds, "user")
	}
	for _, kind := range kinds {
		all += fmt.Sprintf("%s = %q\n", kind, own+kind)
	}
	text := strings.Replace(bareText, "mount = \"host\"", fmt.Sprintf("mount = %q\n%s", own+"mnt", all), 1)
	text = strings.Replace(text, "[\"/usr\"", "[\"/proc\", \"/usr\"", 1)
	args := bareArgs(t, dir, text)
	if refusedBefore(t, 6, args) {
		return
	}
	r := run(t, call{args: append(args, "/bin/sh", "-c",
		binary("probe")+" ns; "+binary("probe")+" caps; tr '\\0' ' ' </proc/1/cmdline; echo; (setsid sleep 1000 &); kill "+
			"-9 1; exit 7"), dir: dir})
	want := []string{"CapEff: none", "CapBnd: none", "NoNewPrivs: 1", "sleep 1000 "}
	for _, kind := range append(kinds, "mnt") {
		link, err := os.Readlink(own + kind)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, kind+": "+link)
	}
	r.want(t, 7, want...)
	link, err := os.Readlink(own + "pid")
	if err != nil {
		t.Fatal(err)
	}
	noSleepers(t, link)
}

// TestNamedNetwork: what "ip netns" makes, by its name in the file system.
func TestNamedNetwork(t *testing.T) {
	if !asRoot() {
		return // a name is a mount
	}
	dir := t.TempDir()
	args := append(boxedArgs(t, dir, "[namespaces]\nnet = \"/run/netns/blue\""), binary("probe"), "ns")
	script := "mount -t tmpfs none /run && ip netns add blue && ip netns exec blue readlink /proc/self/ns/net && exec " +
		"\"$@\""
	r := run(t, call{args: append([]string{"unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script,
		"sh"}, args...), dir: dir})
	first, _, _ := strings.Cut(r.stdout, "\n")
	r.want(t, 0, "net: "+first)
	if own, err := os.Readlink("/proc/self/ns/net"); err != nil || own == first {
		t.Errorf("%s, %v", own, err)
	}
}
