package ns

import (
	"golang.org/x/sys/unix"

	"sbx/internal/text"

	"sbx/internal/step"
)

// What is hidden is covered by an empty file or directory without any mode
// bit, on a read-only mount: there is nothing to read, list, write, chmod or
// rename, whoever the user is. The two covers lie on our own tmpfs and lose
// their names again once all is hidden.
const (
	coverFile = "/.cover-file"
	coverDir  = "/.cover-dir"
)

// Covers makes the empty file and directory that Hide uses.
type Covers struct{ Cover step.Slot }

func (Covers) String() string { return "make covers for hidden paths" }

func (Covers) Kind() string { return "make-masks" }

// Compile makes both.
func (c Covers) Compile(a *step.Asm) {
	a.Sys(unix.SYS_MKNODAT, c.Cover.Arg(), a.Str(rel(coverFile)), step.Int(unix.S_IFREG), step.Int(0))
	a.Sys(unix.SYS_MKDIRAT, c.Cover.Arg(), a.Str(rel(coverDir)), step.Int(0))
}

// ID tells files apart.
type ID struct {
	Major, Minor uint32
	Ino          uint64
}

// Hide covers one path of the inside.
type Hide struct {
	Path string
	// Dir says that it is a directory.
	Dir bool
	// Below is as in Bind.
	Below bool
	// ID is what Path was when the plan was made; the child refuses to cover
	// anything else in its stead. The zero value: whatever it is.
	ID ID
	// Maybe says that nothing may be there: then nothing is covered.
	Maybe bool
	// Cover is the slot of the file system with the covers.
	Cover step.Slot
}

func (h Hide) String() string { return "hide " + text.Quote(h.Path) }

func (Hide) Kind() string { return "hide" }

func (h Hide) Hint(err error) string {
	if step.Errno(err) == unix.ELOOP {
		return "a part of " + text.Quote(h.Path) + " is a symbolic link; hide the path that it leads to"
	}
	return replacedHint(err)
}

// Compile puts a clone of the cover over the path.
func (h Hide) Compile(a *step.Asm) {
	cover := coverFile
	if h.Dir {
		cover = coverDir
	}
	tree := a.Temp()
	a.Sys(unix.SYS_OPEN_TREE, h.Cover.Arg(), a.Str(rel(cover)),
		step.Int(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_SYMLINK_NOFOLLOW)).To(tree)
	setattr(a, tree.Arg(), "", unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC, 0)
	if h.Maybe {
		// Gone, or something else stands where a directory was: no descriptor,
		// and so EBADF from then on.
		to := a.Temp()
		resolve(a, to, h.Path).Or(unix.ENOENT).Or(unix.ENOTDIR).Or(unix.ELOOP)
		a.Sys(unix.SYS_MOVE_MOUNT, tree.Arg(), a.Str(""), to.Arg(), a.Str(""),
			step.Int(unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)).Or(unix.EBADF)
		a.Sys(unix.SYS_CLOSE, to.Arg()).Or(unix.EBADF)
		a.Sys(unix.SYS_CLOSE, tree.Arg())
		return
	}
	if h.ID == (ID{}) {
		attach(a, tree, h.Path, h.Below)
		return
	}
	to := a.Temp()
	resolve(a, to, h.Path)
	same(a, to, h.ID.Major, h.ID.Minor, h.ID.Ino)
	onto(a, tree, to)
}

// Uncover takes the covers' names away; what they cover stays covered.
type Uncover struct{ Cover step.Slot }

func (Uncover) String() string { return "remove the covers' names" }

func (Uncover) Kind() string { return "unlink-masks" }

// Compile unlinks both.
func (u Uncover) Compile(a *step.Asm) {
	a.Sys(unix.SYS_UNLINKAT, u.Cover.Arg(), a.Str(rel(coverFile)), step.Int(0))
	a.Sys(unix.SYS_UNLINKAT, u.Cover.Arg(), a.Str(rel(coverDir)), step.Int(unix.AT_REMOVEDIR))
}
