package integration

import (
	"io/fs"
	"os"
	"testing"
	"time"
)

// writers are programs that make files in ways of their own, and what each of them
// prints. Their directory has an archive a.tar, and what the job brings with it.
var writers = []struct{ name, before, job, prints string }{
	{"tar", "", "tar xpf a.tar && stat -c %a a/deep && cat a/f", "x"},
	{"tar, twice", "", "tar xf a.tar && tar xf a.tar --unlink-first --recursive-unlink && tar xf a.tar --overwrite && " +
		"cat a/f", "x"},
	{"cp", "tar xf a.tar", "cp -a a b && cp -r --preserve=all b c && cat c/f", "x"},
	{"rsync", "tar xf a.tar", "rsync -a a/ b/ && rsync -aX --delete --inplace a/ b/ && cat b/f", "x"},
	{"install", "tar xf a.tar", "install -d -m 755 b && install -D -m 755 a/f b/c/f && stat -c %a b/c/f", "755"},
	{"attributes", "touch f", "setfattr -n user.a -v value f && getfattr --only-values -n user.a f && echo", "value"},
	{"access lists", "touch f",
		"setfacl -m u:$(id -u):r f && getfacl -cn f | grep -c '^user:[0-9]' && setfacl -R -b .", "1"},
	{"git clone", "mkdir r && git -C r init -q && git -C r -c user.name=n -c user.email=n@x commit -qm m --allow-empty",
		"git clone -q r c && git -C c log --format=%s", "m"},
	{"npm", `mkdir d && echo '{"name":"d","version":"1.0.0","main":"i.js"}' >d/package.json && ` +
		`echo 'module.exports = "npm"' >d/i.js && echo '{"name":"a","version":"1.0.0"}' >package.json`,
		"npm install --offline --no-audit --no-fund --install-links ./d >log && node -p 'require(\"d\")'", "npm"},
	{"pip", `printf '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n` +
		`[project]\nname = "mod"\nversion = "1"\n[tool.setuptools]\npy-modules = ["mod"]\n' >pyproject.toml && ` +
		`echo 'X = "pip"' >mod.py`,
		"python3 -m venv --without-pip --system-site-packages .venv && " +
			".venv/bin/python -m pip install -q --no-index --no-build-isolation . && " +
			"cd .venv && bin/python -Ic 'import mod; print(mod.X)'", "pip"},
	{"cargo", `mkdir src && printf '[package]\nname = "a"\nversion = "0.1.0"\nedition = "2021"\n' >Cargo.toml && ` +
		`echo 'fn main() { println!("cargo"); }' >src/main.rs`, "cargo build -q --offline && target/debug/a", "cargo"},
}

// TestWriters runs each of them in every role that can write, in an ordinary directory
// and in one that hands its group down. They are large, and run in make test-jobs.
// Programs that have nothing but openat2 are in TestOpenat2.
func TestWriters(t *testing.T) {
	if os.Getenv("SBX_JOBS") == "" {
		return
	}
	for _, policy := range writes {
		for name, mode := range map[string]fs.FileMode{"ordinary": 0o755, "set-gid": fs.ModeSetgid | 0o755} {
			for _, w := range writers {
				t.Run(policy+"/"+name+"/"+w.name, func(t *testing.T) {
					dir := projectOf(t, policy)
					if err := os.Chmod(dir, mode); err != nil {
						t.Fatal(err)
					}
					bash := func(args ...string) result {
						return run(t, call{dir: dir, args: args, limit: patient(90 * time.Second)})
					}
					before := "mkdir -p a/deep && chmod 750 a/deep && echo x >a/f && tar cf a.tar a && rm -r a\n" + w.before
					if r := bash("/bin/bash", "-ec", before); r.status != 0 {
						t.Fatal(r)
					}
					r := bash(binary("sbx"), "--policy", policy, "--", "/bin/bash", "-ec", w.job)
					r.want(t, 0, w.prints)
					noSetID(t, w.name, dir)
				})
			}
		}
	}
	noStrays(t)
}
