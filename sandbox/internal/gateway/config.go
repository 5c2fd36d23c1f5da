package gateway

import "sbx/policy/network"

// Config is what a gateway lets through.
type Config struct {
	Rules   []network.Rule // each with its port
	Publish []Published
	// IPv6 says whether the sandbox has IPv6, on its loopback.
	IPv6 bool
	// Hostname is the sandbox's own name, which is an address of its loopback.
	Hostname string
	// Proxy is the host's own way out, or nil.
	Proxy *Proxy
	// Who finds the program that has a socket at a port of the sandbox's network, and its pid
	// inside. It may be nil, and is called by the gateway's goroutine.
	Who func(tcp bool, port uint16) (exe string, pid int)
	// Socket has the init make a Unix socket, which comes by Add. It is needed where Unix
	// sockets inside are published, and called by the gateway's goroutine.
	Socket func() error
}

// Published is where the host accepts connections.
type Published struct {
	network.Listen
	// Dir is a descriptor of the directory of Path, where that is not "".
	Dir int
}

// NeedsPorts says whether something of the host leads to TCP ports inside.
func (c *Config) NeedsPorts() bool {
	return c.leads(func(p *Published) bool { return p.InnerPath == "" })
}

// NeedsRoot says whether something of the host leads to Unix sockets inside.
func (c *Config) NeedsRoot() bool {
	return c.leads(func(p *Published) bool { return p.InnerPath != "" })
}

func (c *Config) leads(where func(*Published) bool) bool {
	for i := range c.Publish {
		if where(&c.Publish[i]) {
			return true
		}
	}
	return false
}
