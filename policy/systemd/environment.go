package systemd

import (
	"fmt"
	"slices"
	"strings"

	"sbx/policy"
)

// variables takes Environment=, PassEnvironment= and UnsetEnvironment=.
func (m *importer) variables(s setting) error {
	to := map[string]*[]string{"Environment": &m.env, "PassEnvironment": &m.pass, "UnsetEnvironment": &m.unset}[s.key]
	if s.value == "" {
		*to = nil
		return nil
	}
	list, err := assignments(s.value)
	if err != nil {
		return err
	}
	for _, w := range list {
		name, value, assigned := strings.Cut(w, "=")
		if s.key == "Environment" && !assigned || s.key == "PassEnvironment" && assigned {
			return fmt.Errorf("%q is not understood", w)
		}
		if err := policy.CheckValue("process.env", name); err != nil || strings.HasSuffix(name, "*") {
			return fmt.Errorf("%q is no name of a variable", name)
		}
		if s.key == "UnsetEnvironment" {
			*to = append(*to, w)
			continue
		}
		if strings.Contains(value, "$") {
			m.lose("%s is left out: a policy cannot say the \"$\" in its value", name)
			continue
		}
		entry := name
		if assigned {
			if value, err = m.expand(value); err != nil {
				return err
			}
			entry += "=" + value
		}
		if err := policy.CheckValue("process.env", entry); err != nil {
			m.lose("%s is left out: %s", name, bareMessage(err))
			continue
		}
		*to = append(*to, entry)
	}
	return nil
}

// environment writes what crosses and what is set. Of several values for a
// variable the last counts; a value that is set counts more than the caller's.
func (m *importer) environment() {
	for _, e := range slices.Concat(m.ownEnv, m.pass, m.env) {
		name, _, _ := strings.Cut(e, "=")
		if slices.Contains(m.unset, name) || slices.Contains(m.unset, e) {
			continue
		}
		env := &m.p.Process.Env
		*env = slices.DeleteFunc(*env, func(have string) bool { return have == name || strings.HasPrefix(have, name+"=") })
		*env = append(*env, e)
	}
}
