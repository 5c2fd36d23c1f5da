package systemd

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"sbx/policy"
)

// limit takes the limits that a policy has, too. Not known: a policy has no
// word for this one.
func (m *importer) limit(s setting) (known bool, err error) {
	l := &m.p.Limits
	switch s.key {
	case "TasksMax":
		return true, m.count(s, &m.tasks)
	case "LimitNPROC":
		return true, m.count(s, &m.nproc)
	case "LimitNOFILE":
		return true, m.count(s, &l.OpenFiles)
	case "MemoryMax":
		return true, m.size(s, &l.Memory)
	case "LimitFSIZE":
		return true, m.size(s, &l.FileSize)
	case "LimitCORE":
		return true, m.size(s, &l.Core)
	case "MemorySwapMax":
		if s.value != "" && s.value != "infinity" && s.value != "0" {
			m.lose("a policy that limits memory lets none of it be swapped out")
		}
		return true, nil
	case "LimitCPU":
		return true, m.span(s, &l.CPUTime)
	case "RuntimeMaxSec":
		return true, m.span(s, &l.Time)
	case "CPUQuota":
		return true, m.quota(s)
	}
	return false, nil
}

// limits takes the smaller of the two limits on processes.
func (m *importer) limits() {
	l := &m.p.Limits
	a, errA := strconv.Atoi(m.tasks)
	b, errB := strconv.Atoi(m.nproc)
	switch {
	case errA == nil && (errB != nil || a <= b):
		l.Processes = m.tasks
	case errB == nil:
		l.Processes = m.nproc
	}
	if s := m.said["MemorySwapMax"]; s.value == "0" && l.Memory == "" {
		m.loseAt(s, "a policy says it together with a limit on memory only")
	}
}

// bound reads what all limits have in common: nothing, or no bound at all, and
// for the kernel's own limits "soft:hard". The smaller one counts: a program
// could raise it, but does not get there by itself.
func (m *importer) bound(s setting, to *string) (value string, ok bool) {
	*to = ""
	value = s.value
	if soft, hard, two := strings.Cut(value, ":"); two && strings.HasPrefix(s.key, "Limit") {
		value = soft
		if soft == "infinity" {
			value = hard
		}
		m.lose("a policy's limit is the hard one, too: %s", value)
	}
	if value == "" || value == "infinity" {
		return "", false
	}
	if strings.HasSuffix(value, "%") && s.key != "CPUQuota" {
		m.lose("a policy has no word for a share of the machine")
		return "", false
	}
	return value, true
}

func (m *importer) count(s setting, to *string) error {
	value, ok := m.bound(s, to)
	if !ok {
		return nil
	}
	n, err := strconv.ParseUint(value, 10, 64)
	switch {
	case err != nil:
		return fmt.Errorf("%q is no number", value)
	case n == 0:
		m.lose("a policy's least limit is 1")
		n = 1
	case n > math.MaxInt32:
		return nil // more than there can be
	}
	*to = strconv.FormatUint(n, 10)
	return nil
}

// size takes a size, which systemd lets have a fraction.
func (m *importer) size(s setting, to *string) error {
	value, ok := m.bound(s, to)
	if !ok {
		return nil
	}
	digits, shift := value, 0
	if i := strings.IndexByte("BKMGTPE", value[len(value)-1]); i >= 0 {
		digits, shift = value[:len(value)-1], 10*i
	}
	whole, fraction, dotted := strings.Cut(strings.TrimSpace(digits), ".")
	n, err := strconv.ParseUint(whole, 10, 64)
	if dotted && err == nil {
		var part float64
		part, err = strconv.ParseFloat("0."+fraction, 64)
		n = n<<shift + uint64(part*float64(uint64(1)<<shift))
	} else if err == nil && n<<shift>>shift != n {
		return nil // more than there can be
	} else {
		n <<= shift
	}
	if err != nil {
		return fmt.Errorf("%q is no size", value)
	}
	if n > 1<<62 {
		return nil
	}
	if n == 0 && s.key != "LimitCORE" {
		m.lose("a policy's least limit is 1")
		n = 1
	}
	// As it was written, if a policy has the same words.
	if same, err := policy.ParseSize(value); err == nil && same == n {
		*to = value
		return nil
	}
	*to = strconv.FormatUint(n, 10)
	return nil
}

// span takes a time, rounded down to whole seconds.
func (m *importer) span(s setting, to *string) error {
	value, ok := m.bound(s, to)
	if !ok {
		return nil
	}
	d, err := timeSpan(value)
	if err != nil {
		return err
	}
	if d < time.Second {
		m.lose("a policy's least time is a second")
		d = time.Second
	}
	seconds := int64(d / time.Second)
	for _, unit := range []struct {
		name  string
		whole int64
	}{{"h", 3600}, {"m", 60}} {
		if seconds%unit.whole == 0 {
			*to = strconv.FormatInt(seconds/unit.whole, 10) + unit.name
			return nil
		}
	}
	*to = strconv.FormatInt(seconds, 10) + "s"
	return nil
}

// timeSpan reads a span as systemd.time(7) has it: "1h 30min", "90", "2.5s".
func timeSpan(s string) (time.Duration, error) {
	bad := fmt.Errorf("%q is no span of time", s)
	total := 0.0
	rest := strings.TrimSpace(s)
	if rest == "" {
		return 0, bad
	}
	for rest != "" {
		n := strings.IndexFunc(rest, func(c rune) bool { return (c < '0' || c > '9') && c != '.' })
		if n < 0 {
			n = len(rest)
		}
		value, err := strconv.ParseFloat(rest[:n], 64)
		if err != nil {
			return 0, bad
		}
		rest = strings.TrimLeft(rest[n:], " \t")
		n = strings.IndexFunc(rest, func(c rune) bool { return c >= '0' && c <= '9' || c == ' ' || c == '\t' })
		if n < 0 {
			n = len(rest)
		}
		unit, ok := seconds(rest[:n])
		if !ok {
			return 0, bad
		}
		total += value * unit
		rest = strings.TrimLeft(rest[n:], " \t")
	}
	if total > float64(math.MaxInt64/int64(time.Second)) {
		return 0, bad
	}
	return time.Duration(total * float64(time.Second)), nil
}

// seconds is how many a unit of time has.
func seconds(unit string) (float64, bool) {
	for _, u := range []struct {
		names string
		n     float64
	}{
		{"us usec µs", 1e-6}, {"ms msec", 1e-3}, {"s sec second seconds", 1}, {"m min minute minutes", 60},
		{"h hr hour hours", 3600}, {"d day days", 86400}, {"w week weeks", 7 * 86400}, {"M month months", 2629800},
		{"y year years", 31557600},
	} {
		for name := range strings.FieldsSeq(u.names) {
			if name == unit {
				return u.n, true
			}
		}
	}
	return 1, unit == ""
}

// quota takes a share of processor time, rounded down to whole percents.
func (m *importer) quota(s setting) error {
	value, ok := m.bound(s, &m.p.Limits.CPU)
	if !ok {
		return nil
	}
	digits, percent := strings.CutSuffix(value, "%")
	n, err := strconv.ParseFloat(digits, 64)
	if !percent || err != nil || n <= 0 || n > 1e6 {
		return fmt.Errorf("%q is no share in percent", value)
	}
	whole := max(1, math.Floor(n))
	if whole != n {
		m.lose("a policy has whole percents: %.0f%%", whole)
	}
	m.p.Limits.CPU = strconv.FormatFloat(whole, 'f', 0, 64) + "%"
	return nil
}
