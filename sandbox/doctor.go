package sandbox

import (
	"sbx/sandbox/internal/doctor"
)

// Feature is a feature of the kernel that Doctor has tried.
type Feature = doctor.Feature

// Doctor tries all that sandboxes are made of, each in a child, and reads the settings
// that matter. in are words for what this process runs in, such as "docker".
func Doctor() (list []Feature, in []string, kernel string, err error) {
	list, place, err := doctor.Look()
	return list, place.In, place.Kernel, err
}
