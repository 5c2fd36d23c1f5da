package host

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// mostAlternates bounds how many directories of objects are followed.
const mostAlternates = 16

// Alternates are the directories of objects that the repository of a project takes
// from others, as git clone --shared and --reference make it: objects/info/alternates,
// see gitrepository-layout(5). They are not shown for that: the file says nothing but a
// name, and an earlier run may have written any.
func Alternates(project string) (dirs []string) {
	var w walker
	defer w.close()
	git := project + "/.git"
	if w.kind(git) == unix.S_IFREG {
		shown := w.pointedTo(git)
		if len(shown) == 0 {
			return nil
		}
		git = shown[0]
	}
	todo := []string{git + "/objects"}
	seen := map[string]bool{todo[0]: true}
	for len(todo) > 0 && len(dirs) < mostAlternates {
		at := todo[0]
		todo = todo[1:]
		for line := range strings.Lines(w.text(at + "/info/alternates")) {
			line = strings.TrimSuffix(line, "\n")
			if line == "" || line[0] == '#' || len(line) >= unix.PathMax {
				continue
			}
			if !path.IsAbs(line) {
				line = at + "/" + line
			}
			dir := w.real(path.Clean(line))
			if dir == "" || seen[dir] || len(dirs) == mostAlternates {
				continue
			}
			seen[dir] = true
			dirs, todo = append(dirs, dir), append(todo, dir)
		}
	}
	return dirs
}
