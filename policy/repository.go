package policy

import "iter"

// versionControl is a program that keeps versions, by what it leaves in a repository.
type versionControl struct {
	// mark is the name that stands at the top of a repository, or in each directory of it.
	mark string
	// settings are the files behind the mark that name commands and files which it runs
	// or obeys. Git has more than files: package host knows it.
	settings []string
	// common says that people give the name to directories of their own, too.
	common bool
}

// versionControls is the one list of them. Each mark is guarded in a project (policy
// project, and host, which follows the settings), keeps a policy beside it from allowing
// more than it may (policies.Repository), and a program from being run by its name alone
// (host.Chooser).
var versionControls = [...]versionControl{
	{mark: ".git"},
	{mark: ".hg", settings: []string{"hgrc", "hgrc-not-shared"}},
	{mark: ".jj", settings: []string{"repo/config.toml", "workspace-config.toml"}},
	{mark: ".sl", settings: []string{"config", "hgrc"}},
	{mark: ".svn"},
	{mark: ".bzr", settings: []string{"branch/branch.conf"}},
	{mark: ".pijul", settings: []string{"config"}},
	{mark: "_darcs", settings: []string{"prefs/defaults", "prefs/prefs"}},
	{mark: ".fslckout"}, // Fossil's, with the settings in a database
	{mark: "_FOSSIL_"},
	{mark: "CVS", common: true},
	{mark: ".repo"},
}

// RepositoryMarks are the names by which a repository is told, of whatever program.
func RepositoryMarks() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range versionControls {
			if !yield(versionControls[i].mark) {
				return
			}
		}
	}
}

// RepositoryMark says whether a name marks a repository, and in which files behind it
// commands are named.
func RepositoryMark(name string) (settings []string, ok bool) {
	for i := range versionControls {
		if versionControls[i].mark == name {
			return versionControls[i].settings, true
		}
	}
	return nil, false
}

// BareRepository says whether a directory is one of git's own by what is in it, whatever
// its name is: there says of a name whether something of it is in there.
func BareRepository(there func(name string) (bool, error)) (bool, error) {
	head, err := there("HEAD")
	if err != nil || !head {
		return false, err
	}
	if common, err := there("commondir"); err != nil || common { // which says where the others are
		return common, err
	}
	objects, err := there("objects")
	if err != nil || !objects {
		return false, err
	}
	return there("refs")
}

// keptByPrograms says whether directories of that name are kept by programs for
// themselves, which run or obey what is in them.
func keptByPrograms(name string) bool {
	for i := range versionControls {
		if v := &versionControls[i]; v.mark == name {
			return !v.common
		}
	}
	for _, dir := range toolDirs {
		if dir == name {
			return true
		}
	}
	return false
}
