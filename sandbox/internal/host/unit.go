package host

import (
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"sbx/internal/sys"
	"sbx/policy"
)

// unitDirs are where systemd finds the units of the system, the first one first.
var unitDirs = [...]string{"/etc/systemd/system", "/run/systemd/transient", "/run/systemd/system",
	"/usr/local/lib/systemd/system", "/usr/lib/systemd/system"}

// probeService reads of which type the service is that has this process as its main one:
// systemd does not tell it. That is for a refusal with a reason in the place of a failure
// without; so where a unit is not found there is no type.
func (h *Facts) probeService(_ *policy.Policy, _ *policy.Tree, t Target) error {
	if !t.IsService() {
		return nil
	}
	groups, err := sys.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	if unit := unitOf(groups); unit != "" {
		h.ServiceType = unitType(unit, unitDirs[:])
	}
	return nil
}

// unitOf is the service of the system's manager, by what /proc/PID/cgroup says; "" for none.
func unitOf(groups string) string {
	for line := range strings.Lines(groups) {
		_, line, _ = strings.Cut(line, ":")
		controllers, where, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		if controllers != "" && controllers != "name=systemd" || strings.Contains(where, "/user@") {
			continue
		}
		if name := path.Base(where); strings.HasSuffix(name, ".service") {
			return name
		}
	}
	return ""
}

// unitType is the type of a service by its file and its drop-ins; see systemd.unit(5).
func unitType(unit string, dirs []string) (kind string) {
	names := []string{unit}
	if before, _, ok := strings.Cut(unit, "@"); ok {
		names = append(names, before+"@.service")
	}
	var texts []string
	for _, name := range names {
		for _, dir := range dirs {
			if text, err := sys.ReadRegular(dir + "/" + name); err == nil && len(texts) == 0 {
				texts = append(texts, text)
			}
		}
	}
	dropIns := map[string]string{} // by name; those of the first directories count
	for _, name := range names {
		for _, dir := range dirs {
			list, err := os.ReadDir(dir + "/" + name + ".d")
			if err != nil {
				continue
			}
			for _, e := range list {
				if _, have := dropIns[e.Name()]; !have && strings.HasSuffix(e.Name(), ".conf") {
					dropIns[e.Name()] = dir + "/" + name + ".d/" + e.Name()
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(dropIns)) {
		if text, err := sys.ReadRegular(dropIns[name]); err == nil {
			texts = append(texts, text)
		}
	}
	return typeOf(texts)
}

// typeOf reads the type of a service that starts sbx, and sbx as nothing else, for then this
// process is the main one; "" where that is not certain.
func typeOf(texts []string) (kind string) {
	bus, main, section := "", false, ""
	for _, text := range texts {
		for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "[") {
				section = line
			}
			key, value, _ := strings.Cut(line, "=")
			key, value = strings.TrimSpace(key), strings.TrimSpace(value)
			program, _, _ := strings.Cut(strings.TrimLeft(value, "@-:+!|"), " ")
			switch {
			case section != "[Service]":
			case key == "Type":
				kind = value
			case key == "BusName":
				bus = value
			case key == "ExecStart":
				main = path.Base(program) == "sbx" || value != "" && main
			case strings.HasPrefix(key, "Exec") && strings.Contains(value, "sbx"):
				return ""
			}
		}
	}
	switch {
	case !main:
		return ""
	case kind == "" && bus != "":
		return "dbus" // the default then
	}
	return kind
}
