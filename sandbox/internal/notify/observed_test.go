package notify

import "testing"

// TestObserved: what is in /proc of a process depends on who looks, and the kernel's own files
// do not.
func TestObserved(t *testing.T) {
	for name, want := range map[string]bool{
		"/etc/x": true, "/proc": false, "/proc/": false, "/proc/self/exe": false, "/proc/thread-self": false,
		"/proc/1/environ": false,
		"/proc/net/tcp":   false, "/proc/mounts": false, "/proc/kcore": true, "/proc/sys/vm/x": true, "/process": true,
	} {
		if got := observed(name) != ""; got != want {
			t.Errorf("%s: observed %v, want %v", name, got, want)
		}
	}
}
