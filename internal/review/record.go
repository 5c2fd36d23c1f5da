package review

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Error is a review that cannot be had, or cannot go on, with its fix.
type Error struct{ What, Fix string }

func (e *Error) Error() string { return e.What }

// Hint is how to fix it, or "".
func (e *Error) Hint() string { return e.Fix }

func refuse(fix, format string, args ...any) error { return &Error{fmt.Sprintf(format, args...), fix} }

// Root is a directory of the host that the program could write, and where its changes are.
// Its paths are bytes, since names of files need not be text.
type Root struct {
	N int `json:"n"`
	// Path is what the directory was called inside, Real is what it is on the host.
	Path []byte `json:"path"`
	Real []byte `json:"real"`
	// File is the name of the file in Real that the program could write, where it was no
	// directory: then nothing else in Real is of this review, and Path is that of the file.
	// Copied is the change time of the copy that the program got.
	File   []byte        `json:"file,omitempty"`
	Copied unix.Timespec `json:"copied,omitzero"`
	// Ino and Born are the inode number and birth time of the directory Real.
	Ino  uint64        `json:"ino"`
	Born unix.Timespec `json:"born"`
	// Place is the directory that has the upper directory, where that is not the review's
	// own: on another file system.
	Place []byte `json:"place,omitempty"`
	// Start is a time of the file system between the last change before the start and the
	// first after it.
	Start unix.Timespec `json:"start"`
	// Mode, UID and GID are those of the upper directory at the start.
	Mode uint32 `json:"mode"`
	UID  uint32 `json:"uid"`
	GID  uint32 `json:"gid"`
	// Held are the paths below it that the program could not change.
	Held [][]byte `json:"held,omitempty"`
}

// Where is what the program could write, on the host.
func (r *Root) Where() string {
	if len(r.File) > 0 {
		return path.Join(string(r.Real), string(r.File))
	}
	return string(r.Real)
}

// Record is what is known of a review from its start on.
type Record struct {
	Version int       `json:"version"`
	ID      string    `json:"id"`
	Started time.Time `json:"started"`
	Policy  string    `json:"policy"`
	Command [][]byte  `json:"command"`
	// Guard and Unguard are those of the policy: what is obeyed.
	Guard   []string `json:"guard,omitempty"`
	Unguard []string `json:"unguard,omitempty"`
	Roots   []Root   `json:"roots"`
	// Ended says that the program has ended as it should, with Status.
	Ended  bool `json:"ended"`
	Status int  `json:"status"`
}

const (
	recordName  = "record"
	placesName  = "places"
	journalName = "journal"
	lockName    = "lock"
	version     = 1
	maxRecord   = 16 << 20
)

// save replaces the record in the review's directory.
func (r *Review) save() error {
	data, err := json.Marshal(&r.Record)
	if err != nil {
		return err
	}
	const next = recordName + ".new"
	if err := r.write(next, data); err != nil {
		return err
	}
	return unix.Renameat(r.dir, next, r.dir, recordName)
}

// write writes a file of the review's own.
func (r *Review) write(name string, data []byte) error {
	fd, err := openNew(r.dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// savePlaces writes where the changes are that lie elsewhere, each with a NUL behind it.
// Launches read it, and let no program write there.
func (r *Review) savePlaces() error {
	var data []byte
	for _, root := range r.Roots {
		if len(root.Place) > 0 {
			data = append(append(data, root.Place...), 0)
		}
	}
	if data == nil {
		return nil
	}
	return r.write(placesName, data)
}

// openNew opens a file of the review's own, and makes it.
func openNew(dir int, name string, flags uint64) (int, error) {
	return unix.Openat2(dir, name, &unix.OpenHow{Flags: flags | unix.O_CLOEXEC | unix.O_NOFOLLOW, Mode: 0o600,
		Resolve: beneath})
}

// load reads the record.
func (r *Review) load() error {
	data, err := readFile(r.dir, recordName)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, &r.Record); err != nil {
		return err
	}
	if r.Record.Version != version {
		return fmt.Errorf("its version is %d, and this sbx knows %d", r.Record.Version, version)
	}
	for i, root := range r.Roots {
		if root.N != i || len(root.Real) == 0 || root.Real[0] != '/' {
			return errors.New("its record makes no sense")
		}
		if name := string(root.File); name == "." || name == ".." || strings.Contains(name, "/") {
			return errors.New("its record makes no sense")
		}
		if _, name := path.Split(string(root.Place)); name != "" &&
			(len(name) != len(placePrefix)+32 || name[:len(placePrefix)] != placePrefix) {
			return errors.New("its record names a directory that is none of sbx's")
		}
	}
	return nil
}

// readFile reads a file of the review's own.
func readFile(dir int, name string) ([]byte, error) {
	f, err := openFile(dir, name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case st.Size() > maxRecord:
		return nil, errors.New("it is no file of sbx's")
	}
	data := make([]byte, st.Size())
	n := 0
	for n < len(data) {
		got, err := f.Read(data[n:])
		if err != nil {
			return nil, err
		}
		n += got
	}
	return data, nil
}
