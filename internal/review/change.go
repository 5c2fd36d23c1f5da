package review

import (
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// What a change does to a path.
const (
	Added    = "added"
	Modified = "modified" // its content, or its kind
	Deleted  = "deleted"
	Renamed  = "renamed"
	Mode     = "mode"  // mode, owner or attributes only
	Times    = "times" // times only
)

// Change is what keeping would do to one path. A deleted directory is one change; of an
// added one each entry is.
type Change struct {
	// Root is the number of the root, Path what is changed below it; "" is the root itself.
	Root int    `json:"root"`
	Path string `json:"path"`
	// Bytes is Path where that is no text.
	Bytes []byte `json:"path_bytes,omitempty"`
	Kind  string `json:"kind"`
	// Type is what is there after keeping, Old what is there now: file, directory, link,
	// fifo, socket or device.
	Type string `json:"type,omitempty"`
	Old  string `json:"old_type,omitempty"`
	// Size and OldSize are sizes of files in bytes; Disk is what the new one takes.
	Size    int64 `json:"size,omitempty"`
	OldSize int64 `json:"old_size,omitempty"`
	Disk    int64 `json:"disk,omitempty"`
	// Mode and OldMode are the mode bits.
	Mode    uint32 `json:"mode,omitempty"`
	OldMode uint32 `json:"old_mode,omitempty"`
	// Links is how many names the file has, if more than one.
	Links uint64 `json:"links,omitempty"`
	// To is where a link leads.
	To string `json:"to,omitempty"`
	// From is the path that a renamed file had.
	From string `json:"from,omitempty"`
	// Entries is how many entries a deleted directory has.
	Entries int `json:"entries,omitempty"`
	// Conflict is what has changed on the host since the start. Such a change is kept by
	// force only.
	Conflict string `json:"conflict,omitempty"`
	// Obeyed says that other programs run or obey the file by themselves: a hook, the
	// settings of a CI service or an editor.
	Obeyed bool `json:"obeyed,omitempty"`
	// Refused is why the change is never kept.
	Refused string `json:"refused,omitempty"`

	lower   unix.Stat_t // of what is on the host, if Old is not ""
	upper   unix.Stat_t // of what is in the upper directory
	descend bool        // there is a directory in the upper directory
	merged  bool        // and one on the host that it is merged with
}

func typeOf(mode uint32) string {
	switch kind(mode) {
	case unix.S_IFREG:
		return "file"
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFLNK:
		return "link"
	case unix.S_IFIFO:
		return "fifo"
	case unix.S_IFSOCK:
		return "socket"
	}
	return "device"
}

// none says that nothing changes, which is so for a directory in which something does.
func (c *Change) none() bool { return c.Kind == "" && c.Refused == "" }

func (c *Change) setPath(rel string) {
	c.Path = rel
	if !utf8.ValidString(rel) {
		c.Bytes = []byte(rel)
	}
}

// setUpper describes the new file.
func (c *Change) setUpper(st *unix.Stat_t) {
	c.upper, c.Type, c.Mode = *st, typeOf(st.Mode), st.Mode&0o7777
	if kind(st.Mode) == unix.S_IFREG {
		c.Size, c.Disk = st.Size, st.Blocks*512
		if st.Nlink > 1 {
			c.Links = uint64(st.Nlink) // of 32 bits on arm64
		}
	}
}

// setLower describes the host's file.
func (c *Change) setLower(st *unix.Stat_t) {
	c.lower, c.Old, c.OldMode = *st, typeOf(st.Mode), st.Mode&0o7777
	if kind(st.Mode) == unix.S_IFREG {
		c.OldSize = st.Size
	}
}
