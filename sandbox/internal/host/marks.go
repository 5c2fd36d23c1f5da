package host

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"sbx/policy"
)

// outerRepositories are the marks of the repository that the project is a directory of:
// its .git, for example. Its settings can name files of the project.
func outerRepositories(project, home string) []string {
	for dir := path.Dir(project); policy.ProjectDir(dir, home) != ""; dir = path.Dir(dir) {
		if marks := repositoryMarks(dir); len(marks) > 0 {
			return marks
		}
	}
	return nil
}

// repositoryMarks are the paths in a directory by which it is a repository's. Most have
// none, and are asked by one descriptor.
func repositoryMarks(dir string) (marks []string) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil
	}
	defer unix.Close(fd) // opened with O_PATH
	for name := range policy.RepositoryMarks() {
		if unix.Faccessat(fd, name, unix.F_OK, unix.AT_SYMLINK_NOFOLLOW) == nil {
			marks = append(marks, path.Join(dir, name))
		}
	}
	return marks
}

// words guards a file of settings that is not git's, and what each of its words names: a
// file in the work tree, or, with what that names in turn, one beside the settings.
func (f *follower) words(name, work string, depth int) error {
	if name = path.Clean(name); f.done[name+"\x00"+work] || depth > configDepth {
		return nil
	}
	f.done[name+"\x00"+work] = true
	if err := f.guard(name, false); err != nil {
		return err
	}
	text, err := f.text(name)
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		if err := f.commands(work, line); err != nil {
			return err
		}
		included, ok := strings.CutPrefix(line, "%include") // Mercurial's and Sapling's
		if !ok {
			continue
		}
		if err := f.words(f.path(path.Dir(name), strings.TrimSpace(included)), work, depth+1); err != nil {
			return err
		}
	}
	return nil
}
