package main

import (
	"fmt"
	"strconv"
	"strings"

	"sbx/policy"
)

// overrideMore adds what the flags say of sockets, devices and limits to the policy.
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
