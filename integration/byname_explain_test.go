package integration

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestByNameExplained: what was not let through is told with its host, port, program and the
// flag that allows it: at the end, and as it happens.
func TestByNameExplained(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world, try func([]string, ...string) result) {
		r := try([]string{"--explain", "--events", "events.json", "--host", "a.example:80", "--host", "private.example:80"},
			binary("probe"),
			"byname", "tcp=a.example:80", "tcp=six.example:80", "tcp=a.example:7", "tcp=203.0.113.99:80",
			"tcp=[2001:db8::80]:22",
			"tcp=private.example:80", "udp=203.0.113.99:5000", "udp=a.example:443")
		for as := range callers() {
			file := filepath.Join(base, as, "events.json")
			events, err := os.ReadFile(file)
			if err == nil {
				r.stderr += string(events)
				err = os.Remove(file)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
		}
		by := " by " + binary("probe") + ", pid 2\n"
		for _, lines := range []string{
			"  look up six.example failed with NXDOMAIN, ",
			"  UDP to 203.0.113.99:5000 failed with ECONNREFUSED, once," + by +
				"    of policy default with network.hosts only TCP leaves the sandbox",
			"  UDP to a.example:443 failed with ECONNREFUSED, ",
			"    policy default does not name it in network.hosts; to allow it: --host six.example:PORT\n",
			"  connect a.example:7 failed with ECONNREFUSED, 2 times," + by +
				"    policy default does not name it in network.hosts; to allow it: --host a.example:7\n",
			"  connect 203.0.113.99:80 failed with ECONNRESET, once," + by +
				"    policy default does not name it in network.hosts; to allow it: --host 203.0.113.99:80\n",
			"  connect [2001:db8::80]:22 failed with ECONNREFUSED, once," + by +
				"    policy default does not name it in network.hosts; to allow it: --host [2001:db8::80]:22\n",
			// Go's dialer may take the reset for a failed connect, and try the name's other address.
			"  connect private.example:80 failed with ECONNRESET, ",
			by + "    it has 10.9.9.9, a private address, which takes an entry of its own\n",
			`"what":"network","call":"look up six.example","name":"look up","answer":"NXDOMAIN","exe":"` + binary("probe"),
			`"what":"network","call":"connect a.example:7","name":"connect","answer":"ECONNREFUSED",`,
			`"what":"network","call":"connect 203.0.113.99:80","name":"connect","answer":"ECONNRESET",`,
		} {
			if !strings.Contains(r.stderr, lines) {
				t.Errorf("it does not say\n%s%v", lines, r)
			}
		}
		if strings.Contains(r.stderr, "connect a.example:80") || strings.Contains(r.stderr, "198.18.") {
			t.Error(r)
		}
	})
}
