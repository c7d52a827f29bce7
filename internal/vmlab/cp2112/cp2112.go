//go:build linux

// Package cp2112 plays a GPIO chip for tests in the lab: a CP2112, a USB bridge
// with eight GPIO lines, in the place of which it answers the kernel over
// /dev/uhid. The kernel's own driver makes a real /dev/gpiochip of it.
//
// The driver asks for the levels of its lines every 40 ms while somebody waits
// for edges. It knows no bias, and no debouncing together with edges.
package cp2112

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"
)

// Label is the label of the chip that the kernel makes of it.
const Label = "cp2112_gpio"

// Lines is the number of its lines.
const Lines = 8

// The parts of linux/uhid.h that are needed.
const (
	eventDestroy        = 1
	eventGetReport      = 9
	eventGetReportReply = 10
	eventCreate         = 11
	eventSetReport      = 13
	eventSetReportReply = 14
	eventSize           = 4 + 4372 // the type and the largest of the events

	errIO = 5
)

// The reports of a CP2112, from its data sheet.
const (
	reportDirection = 0x02
	reportGet       = 0x03
	reportSet       = 0x04
	reportVersion   = 0x05
	reportSMBus     = 0x06
)

// Chip is a chip that is plugged in. Its methods may be called at the same time.
type Chip struct {
	device *os.File
	ended  chan struct{}

	mu      sync.Mutex
	levels  byte
	outputs byte // which lines are outputs
}

// Plug plugs a chip in. The kernel takes a moment to make a /dev/gpiochip of it.
func Plug() (*Chip, error) {
	f, err := os.OpenFile("/dev/uhid", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	// One feature report of the vendor: the driver asks by number, and the kernel
	// passes on numbers that are not described.
	descriptor := []byte{0x06, 0x00, 0xff, 0x09, 0x01, 0xa1, 0x01, 0x85, 0x02, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x04, 0x09, 0x01, 0xb1, 0x02, 0xc0}
	e := make([]byte, eventSize)
	binary.LittleEndian.PutUint32(e, eventCreate)
	copy(e[4:], "lab cp2112")
	ids := e[4+128+64+64:]
	binary.LittleEndian.PutUint16(ids, uint16(len(descriptor)))
	binary.LittleEndian.PutUint16(ids[2:], 0x03) // USB
	binary.LittleEndian.PutUint32(ids[4:], 0x10c4)
	binary.LittleEndian.PutUint32(ids[8:], 0xea90)
	copy(ids[20:], descriptor)
	if _, err := f.Write(e); err != nil {
		f.Close()
		return nil, fmt.Errorf("cannot create a HID device: %w", err)
	}
	c := &Chip{device: f, ended: make(chan struct{})}
	go c.serve()
	return c, nil
}

// Unplug takes the chip away.
func (c *Chip) Unplug() error {
	e := make([]byte, 4)
	binary.LittleEndian.PutUint32(e, eventDestroy)
	_, err := c.device.Write(e)
	c.device.Close()
	<-c.ended
	return err
}

// Set sets the level that a line has from outside, and that reading it gives.
func (c *Chip) Set(line int, high bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.levels &^= 1 << line
	if high {
		c.levels |= 1 << line
	}
}

// Level returns the level of a line, whoever has set it.
func (c *Chip) Level(line int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.levels&(1<<line) != 0
}

// serve answers the kernel until the device is closed.
func (c *Chip) serve() {
	defer close(c.ended)
	e := make([]byte, eventSize)
	for {
		n, err := c.device.Read(e)
		if err != nil {
			return
		}
		if reply := c.answer(e[:n]); reply != nil {
			if _, err := c.device.Write(reply); err != nil {
				return
			}
		}
	}
}

// answer returns what the chip says to an event, or nothing.
func (c *Chip) answer(e []byte) []byte {
	if len(e) < 12 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	id := e[4:8]
	switch binary.LittleEndian.Uint32(e) {
	case eventGetReport:
		data := c.report(e[8])
		reply := make([]byte, 12, 12+len(data))
		binary.LittleEndian.PutUint32(reply, eventGetReportReply)
		copy(reply[4:], id)
		if data == nil {
			binary.LittleEndian.PutUint16(reply[8:], errIO)
		}
		binary.LittleEndian.PutUint16(reply[10:], uint16(len(data)))
		return append(reply, data...)
	case eventSetReport:
		size := int(binary.LittleEndian.Uint16(e[10:]))
		if data := e[12:]; size >= 3 && len(data) >= size {
			switch data[0] {
			case reportDirection:
				c.outputs = data[1]
			case reportSet: // levels, and the lines that are meant
				c.levels = c.levels&^data[2] | data[1]&data[2]
			}
		}
		reply := make([]byte, 10)
		binary.LittleEndian.PutUint32(reply, eventSetReportReply)
		copy(reply[4:], id)
		return reply
	}
	return nil
}

func (c *Chip) report(number byte) []byte {
	switch number {
	case reportDirection:
		return []byte{number, c.outputs, 0, 0, 0}
	case reportGet:
		return []byte{number, c.levels}
	case reportVersion:
		return []byte{number, 0x0c, 0x02}
	case reportSMBus:
		return append([]byte{number}, make([]byte, 13)...)
	}
	return nil
}
