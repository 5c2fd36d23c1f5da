#!/usr/bin/env bash
# What sbx is for, in one screen. `make demo` builds it first.
set -eu
cd "$(dirname "$0")/.."
sbx=$PWD/bin/sbx
work=$(mktemp -d /var/tmp/sbx-demo-XXXXXX)
web=""
finish() {
	[ -z "$web" ] || kill "$web" 2>/dev/null || true
	rm -rf "$work"
}
trap finish EXIT
cd "$work"

# print COMMAND...: as one would type it.
print() {
	printf '\n$'
	for word in "${@/#$sbx/sbx}"; do
		case $word in
		*" "*) printf " '%s'" "$word" ;;
		*) printf ' %s' "$word" ;;
		esac
	done
	printf '\n'
}

# show COMMAND...: print it, and run it.
show() {
	print "$@"
	status=0
	"$@" || status=$?
	[ $status = 0 ] || echo "(exit status $status)"
}

"$sbx" --version

echo
echo "== An untrusted script: no network, no home, no secrets, nothing written"
cat >untrusted.sh <<'S'
#!/bin/sh
echo "files in my home:  $(ls -A "$HOME" | wc -l)"
echo "secrets in env:    $(env | grep -c -E 'TOKEN|SECRET')"
echo "network:           $(curl -sS -m 2 http://127.0.0.1 2>&1 | head -c 60)"
(echo x >evil.txt) 2>&1 | sed 's/^/write here:        /'
grep -E 'NoNewPrivs|Seccomp:|CapBnd' /proc/self/status
S
chmod +x untrusted.sh
export API_TOKEN=hunter2
cat untrusted.sh
show "$sbx" -- ./untrusted.sh

echo
echo "== nginx as a server, in namespaces of its own"
mkdir conf www run
echo "hello from inside" >www/index.html
cat >conf/nginx.conf <<'C'
pid run/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path run/body; proxy_temp_path run/proxy; fastcgi_temp_path run/fastcgi;
  uwsgi_temp_path run/uwsgi; scgi_temp_path run/scgi;
  server { listen 127.0.0.1:8080; root www; }
}
C
# This directory belongs to root alone, so the workers stay root as well.
[ "$(id -u)" -ne 0 ] || echo "user root;" >>conf/nginx.conf
server=("$sbx" --policy web --write run -- nginx -p . -c conf/nginx.conf -g "daemon off;")
print "${server[@]}" "&"
"${server[@]}" &
web=$!
for _ in $(seq 50); do
	curl -s -o /dev/null http://127.0.0.1:8080/ && break
	sleep 0.1
done
show curl -sS http://127.0.0.1:8080/
kill -QUIT $web || true # it says itself why it is gone, if it is
status=0
wait $web || status=$?
web=""
echo "(nginx was asked to quit; exit status $status)"

echo
echo "== What would be done, before it is done"
echo
echo "\$ sbx --dry-run --policy pure -- sort | grep -vE '/(etc|dev|proc)/'"
"$sbx" --dry-run --policy pure -- sort | grep -vE '/(etc|dev|proc)/'
