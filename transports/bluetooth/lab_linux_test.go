package bluetooth

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"kozo"
	"kozo/internal/bluez"
	"kozo/internal/vmlab"
	"kozo/kozotest"
)

// The addresses of the controllers of the lab.
const (
	hci0 = "00:AA:01:00:00:00"
	hci1 = "00:AA:01:01:00:01"
)

const otherUUID = "6f9f2a4e-3c1d-4f0b-9a52-0d6c5b1e7a12"

const patience = 30 * time.Second

func TestInLab(t *testing.T) {
	vmlab.Run(t, vmlab.Lab{Controllers: 2}, func(t *testing.T) {
		awaitAdapters(t, 2)
		t.Run("conformance", testConformance)
	})
}

// awaitAdapters waits until bluetoothd has so many adapters.
func awaitAdapters(t *testing.T, n int) {
	t.Helper()
	vmlab.Eventually(t, patience, "bluetoothd has its adapters", func() bool {
		b, err := bluez.Open(t.Context())
		if err != nil {
			return false
		}
		defer b.Close()
		return len(b.Adapters()) == n
	})
}

// Between two adapters there can be one connection each way.
func testConformance(t *testing.T) {
	kozotest.TestTransport(t, kozotest.TransportTest{
		Type:    Type(),
		Options: values("address", hci0, "adapter", "hci0"),
		Dialer:  values("uuid", otherUUID, "adapter", "hci1"),
		Silent: func(testing.TB) string {
			return "00:AA:01:FF:FF:FF/" + testUUID
		},
		Conns: 1, Bytes: 256 << 10, Buffer: 4 << 20, Patience: patience,
	})
}

func testEnv(t *testing.T) *kozo.TransportEnv {
	return &kozo.TransportEnv{Node: "lab", Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
}

func dial(t *testing.T, tr *transport, endpoint string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := tr.Dial(ctx, testEnv(t), endpoint)
	if err == nil {
		c.Close()
	}
	return err
}
