package machine

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// kernel is pinned: 6.1.192 oopses when a Bluetooth connection fails.
const kernel = "linux-image-6.1.0-50-amd64"

// packages are what the machine is made of, besides the kernel, with all that
// they link to.
var packages = [...]string{
	"bluez", "bluez-test-tools", "busybox-static", "dbus-daemon",
	"libapparmor1", "libasound2", "libaudit1", "libbz2-1.0", "libc6", "libcap-ng0", "libcap2", "libdbus-1-3", "libdw1",
	"libelf1", "libexpat1", "libgcc-s1", "libgcrypt20", "libglib2.0-0", "libgpg-error0", "liblz4-1", "liblzma5",
	"libpcre2-8-0", "libreadline8", "libselinux1", "libstdc++6", "libsystemd0", "libtinfo6", "libudev1", "libzstd1", "zlib1g",
}

// parts are the pieces of a lab that do not depend on the test.
type parts struct {
	dir string
}

func (p parts) kernel() string    { return filepath.Join(p.dir, "vmlinux") }
func (p parts) image() string     { return filepath.Join(p.dir, "base.cpio") }
func (p parts) radioRoot() string { return filepath.Join(p.dir, "radio") }

// fetch returns the parts from the cache, or makes them.
func fetch(cache string) (parts, error) {
	h := fnv.New64a()
	fmt.Fprint(h, kernel, packages, modules, binaries, busConfig, daemonConfig)
	p := parts{filepath.Join(cache, fmt.Sprintf("parts-%x", h.Sum64()))}
	if _, err := os.Stat(p.dir); err == nil {
		return p, nil
	}
	work, err := os.MkdirTemp(cache, "making-")
	if err != nil {
		return p, err
	}
	defer os.RemoveAll(work)
	debs, root, boot, made := filepath.Join(work, "debs"), filepath.Join(work, "root"), filepath.Join(work, "kernel"), filepath.Join(work, "made")
	for _, dir := range []string{debs, root, boot, made} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return p, err
		}
	}
	if err := unpack(debs, boot, kernel); err != nil {
		return p, err
	}
	if err := unpack(debs, root, packages[:]...); err != nil {
		return p, err
	}
	if err := makeParts(root, boot, parts{made}); err != nil {
		return p, err
	}
	return p, os.Rename(made, p.dir)
}

// unpack downloads packages and unpacks them, without installing anything.
func unpack(debs, to string, names ...string) error {
	for _, program := range []string{"apt-get", "dpkg-deb", "xz"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: %s is not installed, and it is made of Debian packages", ErrUnavailable, program)
		}
	}
	dir := filepath.Join(debs, names[0])
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	download := exec.Command("apt-get", append([]string{"-q", "download"}, names...)...)
	download.Dir = dir
	if out, err := download.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: cannot get the packages of Debian 12 (run apt-get update): %s", ErrUnavailable, lastLine(out))
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(files) < len(names) {
		return errors.Join(err, fmt.Errorf("apt-get brought %d of %d packages", len(files), len(names)))
	}
	for _, file := range files {
		if out, err := exec.Command("dpkg-deb", "-x", file, to).CombinedOutput(); err != nil {
			return fmt.Errorf("cannot unpack %s: %s", filepath.Base(file), lastLine(out))
		}
	}
	return nil
}

func lastLine(out []byte) string {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return lines[len(lines)-1]
}
