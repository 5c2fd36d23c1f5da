package policy

// networkSamples are samples for [network].
func networkSamples() map[string]sample {
	return map[string]sample{
		"network.bind": {
			good: `[namespaces]
net = "host"
[network]
bind = [8080]`,
			bad: `[namespaces]
net = "host"
[network]
bind = [80000]`,
			more: "It goes with net = \"host\": a new network namespace has nothing that ports lead to.",
		},
		"network.connect": {
			good: `[namespaces]
net = "host"
[network]
connect = [443, 5432]`,
			bad: `[namespaces]
net = "host"
[network]
connect = ["https"]`,
		},
		"network.hosts": {
			good: `[network]
hosts = ["registry.npmjs.org:443", "*.example.com:443", "@github", "10.0.0.0/8:5432", "[2001:db8::/32]:443"]`,
			bad: `[network]
hosts = ["https://example.com"]`,
			more: "It goes with a new network namespace. A wildcard stands for one or more whole labels. See docs/network.md.",
		},
		"network.port": {
			good: `[network]
hosts = ["example.com"]
port = 443`,
			bad: `[network]
hosts = ["example.com"]
port = "https"`,
			deflt: "none: each entry names its port",
		},
		"network.listen": {
			good: `[network]
listen = ["8080", "127.0.0.1:9000:9000"]`,
			bad: `[network]
listen = ["0.0.0.0"]`,
			more: "Without an address it is 127.0.0.1. It goes with a new network namespace. See docs/network.md.",
		},
	}
}
