// Package hosts has the groups of hosts that a policy may name as "@github" in
// network.hosts. Each is one file here: a comment that says what it is for, its
// source and its date, and then one entry a line, as network.hosts has them.
package hosts

import (
	"embed"
	"strings"
)

//go:embed *.hosts
var files embed.FS

// Names are the names of all groups, without the "@", in order.
func Names() []string {
	entries, err := files.ReadDir(".")
	if err != nil { // the root of an embed.FS is always there
		panic(err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".hosts"))
	}
	return names
}

// Group lists the entries of the group with that name, without the "@". It is nil
// where there is no such group.
func Group(name string) []string {
	if strings.ContainsAny(name, "./") {
		return nil
	}
	text, err := files.ReadFile(name + ".hosts")
	if err != nil {
		return nil
	}
	list := []string{}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			list = append(list, line)
		}
	}
	return list
}
