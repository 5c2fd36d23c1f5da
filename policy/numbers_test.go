package policy

import (
	"fmt"
	"strings"
	"testing"
)

// TestParsers holds each parser of a value to the plain way of writing it. The
// sandbox reads what it is handed by the same functions, so what is refused
// here is refused there.
func TestParsers(t *testing.T) {
	// Ways to write a number that no value of a policy has.
	odd := strings.Split("|+|-|k|K|kK|+1|+1K|-1|--1| 1|1 |1\n|1\x00|0x0|0x1|0o17|0b1|1_000|1e3|1.5|1,000|１|٣|"+
		"99999999999999999999|18446744073709551616|18446744073709551616K|-99999999999999999999h|99999999999h|"+
		"inf|NaN|none|?1|!1", "|")
	for _, p := range []struct {
		name  string
		parse func(string) (any, error)
		good  map[string]any
		bad   []string
	}{
		{
			"ParseSize", func(s string) (any, error) { return ParseSize(s) },
			map[string]any{
				"1": uint64(1), "4096": uint64(4096), "1K": uint64(1 << 10), "512M": uint64(512 << 20), "2G": uint64(2 << 30),
				"3T": uint64(3 << 40), "4194304T": uint64(1 << 62), "4611686018427387904": uint64(1 << 62),
			},
			strings.Fields("0 00 01 010M 0K M G T KM 1k 1m 1KB 1KiB 1P 50% 1s 4194305T 4611686018427387905 9007199254740992T"),
		},
		{
			"ParseCore", func(s string) (any, error) { return ParseCore(s) },
			map[string]any{"0": uint64(0), "1": uint64(1), "1K": uint64(1 << 10)}, strings.Fields("00 0K 01 1k"),
		},
		{
			"ParseCount", func(s string) (any, error) { return ParseCount(s) },
			map[string]any{"1": 1, "512": 512, "2147483647": 1<<31 - 1}, strings.Fields("0 00 01 1K 2147483648"),
		},
		{
			"ParsePercent", func(s string) (any, error) { return ParsePercent(s) },
			map[string]any{"1%": 1, "50%": 50, "1000000%": 1000000},
			strings.Fields("% 0% 01% +1% -1% 1.5% 1%% 50 1000001% %50 0x1%"),
		},
		{
			"ParseTime", func(s string) (any, error) { d, err := ParseTime(s); return d.String(), err },
			map[string]any{"1s": "1s", "90s": "1m30s", "1h30m": "1h30m0s", "24h": "24h0m0s"},
			strings.Fields("0 0s 5 -5s +5s 1.5h 5ms 5us 5ns 5µs 1d s h 1h30 1hm 9999999999h 1H"),
		},
		{
			"ParseOffset", func(s string) (any, error) { d, err := ParseOffset(s); return d.String(), err },
			map[string]any{"90s": "1m30s", "-2h": "-2h0m0s", "0s": "0s", "1h30m": "1h30m0s"},
			strings.Fields("0 5 -5 +5s --5s -+5s 1.5h 5ms -5ms s -h 1h-30m -9999999999h"),
		},
		{
			"ParseMode", func(s string) (any, error) { return ParseMode(s) },
			map[string]any{"700": uint32(0o700), "1777": uint32(0o1777), "0755": uint32(0o755), "000": uint32(0)},
			strings.Fields("0 7 77 888 2755 4755 7777 00755 0o755 +755 -755 0x7 u+x 75_5"),
		},
		{
			"ParsePort", func(s string) (any, error) { return ParsePort(s) },
			map[string]any{"0": uint16(0), "1": uint16(1), "443": uint16(443), "65535": uint16(65535)},
			strings.Fields("00 01 080 65536 1e2 -0 +0 80-90 http"),
		},
		{
			"FromFD", func(s string) (any, error) {
				fd, ok := FromFD(s)
				if !ok {
					return 0, fmt.Errorf("no descriptor")
				}
				return fd, nil
			},
			map[string]any{"fd:3": 3, "fd:1048575": 1<<20 - 1},
			strings.Fields("fd: fd:0 fd:2 fd:03 fd:+3 fd:-3 fd:x fd:0x3 fd:3_0 fd:1048576 3 /fd:3 FD:3"),
		},
	} {
		for s, want := range p.good {
			if got, err := p.parse(s); err != nil || got != want {
				t.Errorf("%s(%q) = %v, %v; want %v", p.name, s, got, err, want)
			}
		}
		for _, s := range append(p.bad, odd...) {
			if _, takes := p.good[s]; takes {
				continue
			}
			if got, err := p.parse(s); err == nil {
				t.Errorf("%s(%q) = %v", p.name, s, got)
			}
		}
	}
}

// TestAddressPort: the port of an address is written as any other.
func TestAddressPort(t *testing.T) {
	for s, good := range map[string]bool{
		"127.0.0.1:22": true, "[::1]:65535": true, "h:1": true,
		"h:0": false, "h:022": false, "h:+1": false, "h: 1": false, "h:": false, "h:65536": false, "h:1_0": false,
		":1": false, "h:99999999999999999999": false,
	} {
		if f := checkAddress(s); (f == nil) != good {
			t.Errorf("checkAddress(%q) = %v", s, f)
		}
	}
}
