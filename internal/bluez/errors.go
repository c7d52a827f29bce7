package bluez

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"
)

// explain says in other words what D-Bus and bluetoothd say in theirs, with what
// to do where that is clear.
func explain(err error) error {
	e, ok := errors.AsType[dbus.Error](err)
	if !ok {
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("bluetoothd does not answer: %w", err)
		}
		return err
	}
	text := ""
	if len(e.Body) > 0 {
		text, _ = e.Body[0].(string)
	}
	switch e.Name {
	case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner", "org.freedesktop.DBus.Error.Spawn.ChildExited",
		"org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.systemd1.LoadFailed", "org.freedesktop.systemd1.Masked":
		return &Error{e.Name, "bluetoothd does not run; install bluez and start it: systemctl enable --now bluetooth"}
	case "org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.AuthFailed":
		return &Error{e.Name, "this user may not speak to bluetoothd; add it to the group bluetooth (" + text + ")"}
	case "org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.Timeout", "org.freedesktop.DBus.Error.TimedOut":
		return &Error{e.Name, "bluetoothd does not answer"}
	case "org.freedesktop.DBus.Error.UnknownObject":
		return &Error{e.Name, "bluetoothd does not know it any more"}
	case "org.bluez.Error.NotReady":
		return &Error{e.Name, "the Bluetooth adapter has no power"}
	}
	if words, ok := reasons[text]; ok {
		text = words
	}
	if text == "" {
		text = e.Name
	}
	return &Error{e.Name, text}
}

// reasons are words for those of bluetoothd.
var reasons = map[string]string{
	"br-connection-page-timeout":             "it is out of range, switched off, or not connectable",
	"br-connection-refused":                  "it refuses the connection",
	"br-connection-profile-unavailable":      "it does not offer the service",
	"br-connection-not-supported":            "it does not offer the service",
	"br-connection-sdp-search":               "it could not be asked for its services",
	"br-connection-aborted-by-remote":        "it broke off",
	"br-connection-aborted-by-local":         "the connection was broken off here",
	"br-connection-already-connected":        "there is a connection already",
	"br-connection-concurrent-connection":    "somebody connects to it at the same time",
	"br-connection-busy":                     "the adapter is busy",
	"br-connection-adapter-not-powered":      "the Bluetooth adapter has no power",
	"br-connection-canceled":                 "it was cancelled",
	"br-connection-create-socket":            "no socket could be made",
	"br-connection-key-missing":              "it has forgotten that it was paired; remove it with bluetoothctl remove ADDRESS",
	"br-connection-unknown":                  "it does not work, for a reason that bluetoothd does not know",
	"Host is down (112)":                     "it is out of range, switched off, or not connectable",
	"Connection refused (111)":               "it refuses the connection",
	"Software caused connection abort (103)": "the connection was broken off",
}

// Error is what bluetoothd or the bus said.
type Error struct {
	Name string // org.bluez.Error.Failed
	text string
}

func (e *Error) Error() string { return e.text }

func isBusy(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && (e.Name == "org.bluez.Error.InProgress" || strings.Contains(e.Name, "Busy") || strings.Contains(strings.ToLower(e.text), "busy"))
}
