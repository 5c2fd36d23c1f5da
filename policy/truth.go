package policy

// IsTrue says whether b is there and true. It reads the policy's switches
// that are off unless they are set.
func IsTrue(b *bool) bool { return b != nil && *b }

// NotFalse says whether b is missing or true. It reads the policy's switches
// that are on unless they are set, as Files.Proc.
func NotFalse(b *bool) bool { return b == nil || *b }
