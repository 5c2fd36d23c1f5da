// Gen writes what is kept ready of the policies beside it, and removes what is
// there of policies that are no more: run "go generate ./policies".
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"sbx/policies/internal/generate"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	files, err := generate.Files(os.DirFS(dir))
	if err != nil {
		return err
	}
	for _, pattern := range generate.Kept() {
		old, err := fs.Glob(os.DirFS(dir), pattern)
		if err != nil {
			return err
		}
		for _, name := range old {
			if files[name] == nil {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					return err
				}
			}
		}
	}
	for name, data := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
