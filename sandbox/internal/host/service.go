package host

import (
	"path"
	"strconv"
	"strings"
)

// serviceDirs are the variables by which systemd tells a service of its directories; see
// "Environment Variables Set or Propagated by the Service Manager" in systemd.exec(5).
var serviceDirs = [...]struct {
	name  string
	write bool
}{
	{"RUNTIME_DIRECTORY", true}, {"STATE_DIRECTORY", true}, {"CACHE_DIRECTORY", true}, {"LOGS_DIRECTORY", true},
	{"CONFIGURATION_DIRECTORY", false}, {"CREDENTIALS_DIRECTORY", false},
}

// IsService says whether systemd (248 or newer) has started this very process.
func (t Target) IsService() bool {
	pid, ok := Lookup(t.Env, "SYSTEMD_EXEC_PID")
	return ok && pid == strconv.Itoa(t.PID)
}

// ServiceVariable says whether the variable is one that tells a service of itself.
func ServiceVariable(name string) bool {
	for _, d := range serviceDirs {
		if d.name == name {
			return true
		}
	}
	return name == "INVOCATION_ID" || name == "JOURNAL_STREAM" || name == "SYSTEMD_EXEC_PID"
}

// ServiceDirs are the directories that systemd has made for this process, if it has: those to
// be read and those to be written, as entries of a policy.
func (t Target) ServiceDirs() (read, write []string) {
	if !t.IsService() {
		return nil, nil
	}
	for _, d := range serviceDirs {
		value, _ := Lookup(t.Env, d.name)
		for dir := range strings.SplitSeq(value, ":") {
			switch {
			case !path.IsAbs(dir) || path.Clean(dir) != dir || dir == "/":
			case d.write:
				write = append(write, "?"+dir)
			default:
				read = append(read, "?"+dir)
			}
		}
	}
	return read, write
}
