package bluez

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// blocked says if a switch keeps the radio of an adapter off.
func blocked(adapter string) error {
	switches, _ := filepath.Glob("/sys/class/rfkill/*")
	for _, dir := range switches {
		read := func(name string) string {
			text, _ := os.ReadFile(filepath.Join(dir, name))
			return strings.TrimSpace(string(text))
		}
		if read("name") != adapter {
			continue
		}
		if read("hard") == "1" {
			return fmt.Errorf("the Bluetooth adapter %s is switched off by a switch of the machine", adapter)
		}
		if read("soft") == "1" {
			return fmt.Errorf("the Bluetooth adapter %s is blocked; run rfkill unblock bluetooth", adapter)
		}
	}
	return nil
}
