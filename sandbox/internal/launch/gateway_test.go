package launch

import (
	"testing"

	"sbx/internal/step"
	"sbx/policy"
	"sbx/sandbox/internal/gateway"
)

// TestGatewayFaults makes each call fail that leads the sandbox's network to the launcher.
// The plan is started and waited for, and nobody supervises.
func TestGatewayFaults(t *testing.T) {
	launches(t)
	plan := planWith(t, "default", func(p *policy.Policy) {
		p.Network.Hosts = []string{"a.example:443", "192.0.2.0/24:22"}
		p.Network.Listen = []string{"127.0.0.1:48765:80", "127.0.0.1:48766:unix:/dev/shm/x.sock"}
	}, "/bin/touch", "ran")
	sweep(t, plan, func(s step.Step) bool {
		switch s.(type) {
		case gateway.Route, gateway.Catch, gateway.Mint, gateway.Root, gateway.Tap:
			return true
		}
		return false
	})
}
