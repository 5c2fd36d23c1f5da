// Package review holds what a program would change, apart from the host's files, until
// somebody keeps or discards it.
//
// A review has a root for each directory of the host that the program could write. The
// program saw it through an overlayfs (userxattr), whose upper directory has the changes:
// what was added or modified, a character device 0:0 (a whiteout) for what was deleted,
// and extended attributes user.overlay.*. All of that is the program's choice, and all
// names in the host's directory may be that of a program of an earlier launch. So every
// path is opened from a descriptor of its root, beneath it, without following a link and
// without crossing into another file system; and nothing is executed, mounted or
// interpreted but what scan.go names.
//
// Keeping renames file by file from the upper directory to the host's. The upper directory
// itself says what is left to do, so a keep that was killed goes on where it stopped. The
// journal has the rest: what was to be kept, and the attributes of directories, which come
// last.
package review
