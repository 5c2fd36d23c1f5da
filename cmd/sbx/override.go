package main

import (
	"fmt"
	"strconv"
	"strings"

	"sbx/policy"
)

// overrideMore adds what the flags say of sockets, devices, hosts and limits to the policy.
func (l *launch) overrideMore(p *policy.Policy, cwd, home string) error {
	for _, s := range l.Socket {
		if strings.HasPrefix(s, "!") {
			return &usageError{"--socket: " + strconv.Quote(s) + " is no path", "--socket PATH"}
		}
		p.Files.Sockets = append(p.Files.Sockets, shownPath(s, cwd, home))
	}
	for _, s := range l.Device {
		s = shownPath(s, cwd, home)
		if err := policy.CheckDevice(s); err != nil {
			return fmt.Errorf("--device: %w", err)
		}
		p.Files.Devices = append(p.Files.Devices, s)
	}
	for _, f := range [...]struct {
		flag   string
		values []string
		add    func(string) error
	}{{"--host", l.Host, p.AddHost}, {"--publish", l.Publish, p.AddListen}} {
		if len(f.values) > 0 && l.Net == "host" {
			return &usageError{f.flag + ": --net host leaves the host's whole network open", "take one of the two flags out"}
		}
		for _, s := range f.values {
			if err := f.add(s); err != nil {
				return fmt.Errorf("%s: %w", f.flag, err)
			}
		}
	}
	for _, s := range l.Limit {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return &usageError{"--limit: " + strconv.Quote(s) + " has no value", "--limit NAME=VALUE, as in --limit memory=1G"}
		}
		if err := p.SetLimit(name, value); err != nil {
			return fmt.Errorf("--limit: %w", err)
		}
	}
	return nil
}
