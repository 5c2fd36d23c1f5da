package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// filters are the seccomp programs that sbx embeds for policy pure, in load
// order; the others are fed the same bytes.
func (b *runner) filters() ([][]byte, error) {
	names, err := filepath.Glob(filepath.Join("policies", "filters", "pure*"+runtime.GOARCH+"*.bpf"))
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no embedded filter of policy pure below policies/filters")
	}
	var list [][]byte
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		list = append(list, data)
	}
	return list, nil
}
