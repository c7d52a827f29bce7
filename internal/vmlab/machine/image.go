package machine

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
)

// binaries are the programs of the machine.
var binaries = [...]string{"/usr/libexec/bluetooth/bluetoothd", "/usr/bin/btvirt", "/usr/bin/btattach", "/usr/bin/dbus-daemon"}

// modules are what the kernel needs for Bluetooth, for GPIO behind a HID device
// and for a directory of the host, in the order in which they are loaded.
var modules = [...]string{
	"lib/crc16", "crypto/ecc", "net/rfkill/rfkill", "crypto/ecdh_generic", "net/bluetooth/bluetooth", "net/bluetooth/rfcomm/rfcomm",
	"drivers/bluetooth/hci_vhci", "drivers/bluetooth/btintel", "drivers/bluetooth/btbcm", "drivers/bluetooth/btrtl", "drivers/bluetooth/btqca",
	"drivers/bluetooth/hci_uart", "crypto/af_alg", "crypto/algif_hash", "crypto/algif_skcipher", "crypto/cmac", "crypto/ecb",
	"drivers/hid/hid", "drivers/hid/uhid", "drivers/hid/hid-cp2112",
	"drivers/virtio/virtio_ring", "drivers/virtio/virtio", "drivers/virtio/virtio_pci_modern_dev", "drivers/virtio/virtio_pci_legacy_dev",
	"drivers/virtio/virtio_pci", "drivers/char/virtio_console", "fs/netfs/netfs", "fs/fscache/fscache", "net/9p/9pnet", "net/9p/9pnet_virtio", "fs/9p/9p",
}

const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path=/run/dbus/system_bus_socket</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_destination="*" eavesdrop="true"/>
    <allow receive_sender="*"/>
    <allow send_type="method_call"/>
    <allow send_type="signal"/>
  </policy>
</busconfig>
`

// daemonConfig is that of bluetoothd. A controller of btvirt is asked for its
// abilities at its first pairing only, as that of a real radio is at each. So from
// the second one on the kernel of the side that was dialled keeps a key that the
// other side has forgotten, and bluetoothd would make no new one: nobody could
// connect any more once the radios have parted.
const daemonConfig = "[General]\nJustWorksRepairing = always\n"

// makeParts makes the kernel, the image of the machine's file system, and the
// root in which the radio of several machines runs.
func makeParts(root, boot string, p parts) error {
	versions, err := filepath.Glob(filepath.Join(boot, "lib/modules/*"))
	if err != nil || len(versions) != 1 {
		return fmt.Errorf("the kernel package has %d versions of modules, not one", len(versions))
	}
	version := filepath.Base(versions[0])
	busybox := filepath.Join(root, "bin/busybox")
	if err := unpackKernel(filepath.Join(boot, "boot/vmlinuz-"+version), p.kernel()); err != nil {
		return err
	}

	var a archive
	for _, dir := range []string{"bin", "proc", "sys", "dev", "run", "tmp", "test", "out", "var/lib/bluetooth"} {
		a.dir(dir)
	}
	a.link("var/run", "/run")
	a.file("etc/passwd", []byte("root:x:0:0:root:/tmp:/bin/sh\n"), 0o644)
	a.file("etc/group", []byte("root:x:0:\n"), 0o644)
	a.file("etc/bus.conf", []byte(busConfig), 0o644)
	list := "" // of the modules, in order
	for _, m := range modules {
		file := filepath.Join(versions[0], "kernel", m+".ko")
		name := path.Join("lib/modules", path.Base(m)+".ko")
		if err := a.copy(name, file); err != nil {
			return err
		}
		list += "/" + name + "\n"
	}
	a.file("etc/modules", []byte(list), 0o644)
	a.file("etc/bluetooth/main.conf", []byte(daemonConfig), 0o644)
	if err := a.copy("bin/busybox", busybox); err != nil {
		return err
	}
	for _, b := range binaries {
		files, err := closure(root, b)
		if err != nil {
			return err
		}
		for inside, file := range files {
			if err := a.copy(inside, file); err != nil {
				return err
			}
		}
	}
	if err := os.WriteFile(p.image(), a.end(), 0o644); err != nil {
		return err
	}

	files, err := closure(root, "/usr/bin/btvirt")
	if err != nil {
		return err
	}
	for inside, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		to := filepath.Join(p.radioRoot(), inside)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, data, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// unpackKernel takes the program out of a kernel image: started directly, it
// need not unpack itself, which takes long on an emulated processor.
func unpackKernel(image, to string) error {
	data, err := os.ReadFile(image)
	if err != nil {
		return err
	}
	at := bytes.Index(data, []byte("\xFD7zXZ\x00"))
	if at < 0 {
		return fmt.Errorf("%s is not compressed with xz", image)
	}
	var out bytes.Buffer
	xz := exec.Command("xz", "-dc")
	xz.Stdin, xz.Stdout = bytes.NewReader(data[at:]), &out
	// It complains of what follows the compressed part.
	if err := xz.Run(); err != nil && out.Len() == 0 {
		return fmt.Errorf("cannot unpack the kernel: %w", err)
	}
	if _, err := elf.NewFile(bytes.NewReader(out.Bytes())); err != nil {
		return fmt.Errorf("the unpacked kernel is no program: %w", err)
	}
	return os.WriteFile(to, out.Bytes(), 0o644)
}

// closure finds what a program needs to run: the files by their paths inside.
func closure(root, program string) (map[string]string, error) {
	files := map[string]string{}
	queue := []string{program}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		file, err := find(root, name)
		if err != nil {
			return nil, err
		}
		inside := name
		if name == path.Base(name) {
			inside = path.Join("lib/x86_64-linux-gnu", name)
		}
		if files[inside] != "" {
			continue
		}
		files[inside] = file
		f, err := elf.Open(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		needed, err := f.ImportedLibraries()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		queue = append(queue, needed...)
		if s := f.Section(".interp"); s != nil {
			interpreter, err := s.Data()
			if err != nil {
				return nil, err
			}
			queue = append(queue, string(bytes.TrimRight(interpreter, "\x00")))
		}
		f.Close()
	}
	return files, nil
}

// find looks for a file that packages have brought, links followed inside root.
func find(root, name string) (string, error) {
	dirs := []string{"lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64"}
	if path.IsAbs(name) {
		dirs = []string{path.Dir(name), "lib/x86_64-linux-gnu"}
		name = path.Base(name)
	}
	for _, dir := range dirs {
		file := filepath.Join(root, dir, name)
		target, err := os.Readlink(file)
		if err == nil && path.IsAbs(target) {
			return find(root, target)
		}
		if _, err := os.Stat(file); err == nil {
			return file, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("no package of the lab has %s; looked in %v", name, dirs)
}

// archive is a cpio archive in the form that the kernel unpacks at its start.
type archive struct {
	buf  bytes.Buffer
	node int
	dirs []string
}

func (a *archive) add(name string, mode uint32, data []byte) {
	a.node++
	fmt.Fprintf(&a.buf, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.node, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	a.buf.WriteString(name + "\x00")
	a.pad()
	a.buf.Write(data)
	a.pad()
}

func (a *archive) pad() {
	for a.buf.Len()%4 != 0 {
		a.buf.WriteByte(0)
	}
}

// dir adds a directory and those above it.
func (a *archive) dir(name string) {
	if name == "." || slices.Contains(a.dirs, name) {
		return
	}
	a.dir(path.Dir(name))
	a.dirs = append(a.dirs, name)
	a.add(name, 0o040755, nil)
}

func (a *archive) file(name string, data []byte, perm uint32) {
	name = path.Clean("/" + name)[1:]
	a.dir(path.Dir(name))
	a.add(name, 0o100000|perm, data)
}

func (a *archive) link(name, target string) {
	a.dir(path.Dir(name))
	a.add(name, 0o120777, []byte(target))
}

func (a *archive) copy(name, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	a.file(name, data, 0o755)
	return nil
}

// end finishes the archive, to a multiple of 512 bytes: another may follow.
func (a *archive) end() []byte {
	a.add("TRAILER!!!", 0, nil)
	for a.buf.Len()%512 != 0 {
		a.buf.WriteByte(0)
	}
	return a.buf.Bytes()
}
