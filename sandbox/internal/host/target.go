package host

// Target is what is to run.
type Target struct {
	// Path is the program, looked for in Env's PATH if it has no slash.
	Path string
	// Args are all arguments, the program's name first.
	Args []string
	// Env is the caller's whole environment; the policy says what crosses.
	Env []string
	// Dir is the directory to start in.
	Dir string
	// Project is the directory in which secrets are looked for, if it is
	// shown; empty: none. Shown are the paths that flags name: of those that
	// are somebody's project, given Home, the same holds.
	Project, Home string
	Shown         []string
	// KeepFDs are descriptors above 2 that cross under their own numbers.
	KeepFDs []int
	// PID is the launcher's own pid, to know what systemd meant for it.
	PID int
}

// NotifySocket is where the service manager wants to be notified, or "": see
// sd_notify(3).
func (t Target) NotifySocket() string {
	s, _ := Lookup(t.Env, "NOTIFY_SOCKET")
	return s
}

// Lookup finds a variable in an environment: where it stands more than once, the
// first one, as getenv(3) does.
func Lookup(env []string, name string) (value string, ok bool) {
	for _, v := range env {
		if len(v) > len(name) && v[len(name)] == '=' && v[:len(name)] == name {
			return v[len(name)+1:], true
		}
	}
	return "", false
}
