package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestByNamePrograms is the long form of TestByName, for "make test-network": more programs,
// among them one with musl's resolver and one without a C library, and a flood.
func TestByNamePrograms(t *testing.T) {
	if os.Getenv("SBX_NETWORK") == "" {
		return // make test-network
	}
	musl := filepath.Join(base, "bin", "musl")
	if os.Getuid() == 0 {
		source := filepath.Join(t.TempDir(), "musl.c")
		if err := os.WriteFile(source, []byte(muslProgram), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("musl-gcc", "-static", "-o", musl, source).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	inWorld(t, func(t *testing.T, w *world, try func([]string, ...string) result) {
		a := []string{"--read", musl, "--host", "a.example:80"}
		for _, program := range [][]string{
			{"wget", "-qO-", "http://a.example/"},
			{"node", "-e", "require('http').get('http://a.example/',r=>r.pipe(process.stdout))"},
			{"busybox", "wget", "-qO-", "http://a.example/"},
			{"sh", "-c", "printf 'GET / HTTP/1.0\\r\\nHost: a.example\\r\\n\\r\\n' | busybox nc a.example 80 | tail -1"},
			{musl, "a.example"},
		} {
			if r := try(a, program...); r.status != 0 || r.stdout != "hello from a.example\n" {
				t.Errorf("%q: %v", program, r)
			}
		}
		if r := try(a, musl, "six.example"); r.status != 2 {
			t.Errorf("musl finds a name that is not listed: %v", r)
		}
		attempts(t, try, a, "flood=203.0.113.99:80/100000", "ok", "flood=a.example:80/3000", "ok", "tcp=a.example:80", "ok")
		if n := w.bait.Load(); n > 0 {
			t.Errorf("%d came where nobody may", n)
		}
	})
}

// muslProgram prints the last line of a page.
const muslProgram = `#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
int main(int argc, char **argv) {
	struct addrinfo *a, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	char b[4096], ask[300];
	int n, all = 0;
	if (getaddrinfo(argv[1], "80", &hints, &a)) return 2;
	int fd = socket(a->ai_family, SOCK_STREAM, 0);
	if (connect(fd, a->ai_addr, a->ai_addrlen)) return 3;
	n = snprintf(ask, sizeof ask, "GET / HTTP/1.0\r\nHost: %s\r\n\r\n", argv[1]);
	if (write(fd, ask, n) != n) return 4;
	while ((n = read(fd, b + all, sizeof b - 1 - all)) > 0) all += n;
	b[all] = 0;
	char *body = strstr(b, "\r\n\r\n");
	if (!body) return 5;
	fputs(body + 4, stdout);
	return 0;
}
`
