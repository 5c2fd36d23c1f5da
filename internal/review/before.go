package review

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// beforeName begins the name of the file that says what the directories of a root had at
// the start. beforeMost bounds its size.
const (
	beforeName = "before-"
	beforeMost = 4 << 20
)

// before is what the directories of a root had at the start, as far as they could be read
// and there was room for it. It tells a file that the program has added from one that was
// removed on the host meanwhile, and a directory from another one with its path.
type before struct {
	dirs map[string]string // by the path, what describe has written
	// last is the directory that was looked up last, with its entries.
	last  string
	names []string
}

// writeBefore notes the directories of a root, those near the top first.
func (r *Review) writeBefore(n, lower int) error {
	var b bytes.Buffer
	queue := []string{""}
	for len(queue) > 0 && b.Len() < beforeMost {
		rel := queue[0]
		queue = queue[1:]
		fd, err := openDir(lower, rel)
		if missing(err) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EXDEV) {
			continue
		}
		if err != nil {
			return err
		}
		dirs, err := describe(&b, fd, rel)
		closeFD(fd)
		if err != nil {
			return err
		}
		if len(r.Roots[n].File) == 0 {
			queue = append(queue, dirs...)
		}
	}
	return r.write(beforeName+strconv.Itoa(n), b.Bytes())
}

// describe writes a directory: its path, what it is, and its entries, each with a NUL
// behind. Directories have a slash. It returns their paths.
func describe(b *bytes.Buffer, fd int, rel string) (dirs []string, err error) {
	state, err := stateOf(fd)
	if err != nil {
		return nil, err
	}
	list, err := entries(fd)
	if err != nil {
		return nil, err
	}
	slices.Sort(list)
	for _, s := range [...]string{rel, state} {
		b.WriteString(s)
		b.WriteByte(0)
	}
	for _, name := range list {
		b.WriteString(name)
		b.WriteByte(0)
		if dir, ok := strings.CutSuffix(name, "/"); ok {
			dirs = append(dirs, join(rel, dir))
		}
	}
	b.WriteByte(0)
	return dirs, nil
}

// stateOf is which directory it is, and then its attributes.
func stateOf(fd int) (string, error) {
	x, err := look(fd)
	if err != nil {
		return "", err
	}
	own, err := ownXattrs(fd, ".")
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	for _, attr := range own {
		value, err := entryXattr(fd, ".", attr)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%q %q\n", attr, value)
	}
	digest := "-"
	if len(own) > 0 {
		digest = hex.EncodeToString(sum.Sum(nil))
	}
	return fmt.Sprintf("%d %d.%09d %o %d %d %s", x.ino, x.born.Sec, x.born.Nsec, x.mode, x.uid, x.gid, digest), nil
}

// identity is the part of a state that says which directory it is.
func identity(state string) string {
	parts := strings.SplitN(state, " ", 3)
	return strings.Join(parts[:min(len(parts), 2)], " ")
}

// entries are the names in an open directory; those of directories have a slash.
func entries(dir int) (list []string, err error) {
	buf := make([]byte, 32<<10)
	for {
		n, err := unix.ReadDirent(dir, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return list, err
		}
		for b := buf[:n]; len(b) > 0; {
			// A struct linux_dirent64; see getdents64(2).
			const sizeAt, typeAt, nameAt = 16, 18, 19
			size := binary.NativeEndian.Uint16(b[sizeAt:])
			raw, _, _ := bytes.Cut(b[nameAt:size], []byte{0})
			name, kind := string(raw), b[typeAt]
			b = b[size:]
			if name == "." || name == ".." {
				continue
			}
			if kind == unix.DT_UNKNOWN {
				st, ok, err := statOrNone(dir, name)
				if err != nil {
					return nil, err
				}
				if ok && isDir(st.Mode) {
					kind = unix.DT_DIR
				}
			}
			if kind == unix.DT_DIR {
				name += "/"
			}
			list = append(list, name)
		}
	}
}

// readBefore reads what writeBefore has noted. Without it nothing is known.
func (r *Review) readBefore(n int) (*before, error) {
	b := &before{dirs: map[string]string{}, last: "/"}
	data, err := readFile(r.dir, beforeName+strconv.Itoa(n))
	if errors.Is(err, unix.ENOENT) {
		return b, nil
	}
	if err != nil {
		return nil, err
	}
	rest := string(data)
	for rest != "" {
		rel, after, ok := strings.Cut(rest, "\x00")
		end := strings.Index(after, "\x00\x00")
		if !ok || end < 0 {
			return nil, errors.New("the list of what was there before is damaged")
		}
		b.dirs[rel], rest = after[:end], after[end+2:]
	}
	return b, nil
}

// state is that of a directory at the start, "" where it is not known.
func (b *before) state(rel string) string {
	state, _, _ := strings.Cut(b.dirs[rel], "\x00")
	return state
}

// had says whether the directory had the entry at the start, if that is known.
func (b *before) had(rel, name string) (has, known bool) {
	if b.last != rel {
		noted, ok := b.dirs[rel]
		if !ok {
			return false, b.lacked(rel)
		}
		_, list, _ := strings.Cut(noted, "\x00")
		b.last, b.names = rel, strings.Split(list, "\x00")
	}
	for _, s := range [...]string{name, name + "/"} {
		if _, has := slices.BinarySearch(b.names, s); has {
			return true, true
		}
	}
	return false, true
}

// lacked says that there was no such directory at the start.
func (b *before) lacked(rel string) bool {
	for rel != "" {
		dir, name := split(rel)
		if noted, ok := b.dirs[dir]; ok {
			return !strings.Contains(noted+"\x00", "\x00"+name+"/\x00")
		}
		rel = dir
	}
	return false
}
