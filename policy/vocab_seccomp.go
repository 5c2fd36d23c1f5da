package policy

import (
	"strconv"
	"strings"

	"sbx/policy/seccomp"
)

func checkSyscall(s string) (string, *fault) {
	name := strings.TrimPrefix(s, "@")
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "" {
		return "", faultf("unknown system call %q", s)
	}
	return s, nil
}

func checkCondition(s string) (string, *fault) {
	if !strings.HasPrefix(s, "arg") {
		return "", faultf("%q is no condition", s).or(`as "arg0 == AF_UNIX"`)
	}
	return s, nil
}

func checkArchitecture(s string) (string, *fault) { return s, nil }

// actionNames are the answers a policy can give, as it writes them.
func actionNames() []string {
	return []string{"allow", "errno:NAME", "kill-process", "kill-thread", "trap", "log", "notify"}
}

func parseAction(s string) (seccomp.Action, *fault) {
	switch s {
	case "allow":
		return seccomp.Action{Kind: seccomp.Allow}, nil
	case "kill-process":
		return seccomp.Action{Kind: seccomp.KillProcess}, nil
	case "kill-thread":
		return seccomp.Action{Kind: seccomp.KillThread}, nil
	case "trap":
		return seccomp.Action{Kind: seccomp.Trap}, nil
	case "log":
		return seccomp.Action{Kind: seccomp.Log}, nil
	case "notify":
		return seccomp.Action{Kind: seccomp.Notify}, nil
	}
	switch s {
	case "errno:EPERM":
		return seccomp.Action{Kind: seccomp.Errno, Errno: 1}, nil
	case "errno:EACCES":
		return seccomp.Action{Kind: seccomp.Errno, Errno: 13}, nil
	case "errno:ENOSYS":
		return seccomp.Action{Kind: seccomp.Errno, Errno: 38}, nil
	case "errno:EAFNOSUPPORT":
		return seccomp.Action{Kind: seccomp.Errno, Errno: 97}, nil
	}
	return seccomp.Action{}, faultf("unknown action %q", s).like(s, actionNames())
}

func formatAction(a seccomp.Action) string {
	switch a.Kind {
	case seccomp.Allow:
		return "allow"
	case seccomp.KillProcess:
		return "kill-process"
	case seccomp.KillThread:
		return "kill-thread"
	case seccomp.Trap:
		return "trap"
	case seccomp.Log:
		return "log"
	case seccomp.Notify:
		return "notify"
	case seccomp.Errno:
		switch a.Errno {
		case 1:
			return "errno:EPERM"
		case 13:
			return "errno:EACCES"
		case 38:
			return "errno:ENOSYS"
		case 97:
			return "errno:EAFNOSUPPORT"
		}
		return "errno:" + strconv.Itoa(int(a.Errno))
	}
	return ""
}
