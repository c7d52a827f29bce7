package motion

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/warthog618/go-gpiocdev"
)

// headers returns the labels of the chips that the header of a Raspberry Pi is
// connected to, from model 5 down. Their numbers differ from kernel to kernel.
func headers() []string {
	return []string{"pinctrl-rp1", "pinctrl-bcm2712", "pinctrl-bcm2711", "pinctrl-bcm2835"}
}

// gpio is a line of a chip.
type gpio struct {
	*gpiocdev.Line
	what    string
	bounces bool
}

// Active reads the line.
func (g *gpio) Active() (bool, error) {
	v, err := g.Value()
	if errors.Is(err, syscall.ENODEV) {
		return false, fmt.Errorf("%s has gone: its chip was unplugged", g.what)
	}
	if err != nil {
		return false, fmt.Errorf("%s cannot be read: %w", g.what, err)
	}
	return v == 1, nil
}

// Bounces says whether the kernel does not debounce the line, though it should.
func (g *gpio) Bounces() bool { return g.bounces }

// openLine finds the line that the options mean, and takes it.
func openLine(o options, changed func()) (line, error) {
	chip, err := findChip(o)
	if err != nil {
		return nil, err
	}
	defer chip.Close()
	offset, err := findOffset(o, chip)
	if err != nil {
		return nil, err
	}
	g := &gpio{what: fmt.Sprintf("pin %s of %s (%s)", o.Pin, chip.Name, chip.Label)}
	g.Line, g.bounces, err = request(o, chip, offset, changed)
	if err != nil {
		return nil, explain(err, o, chip, offset, g.what)
	}
	return g, nil
}

// request takes a line. Not every chip can debounce, least of all lines whose
// changes it reports; then the role has to.
func request(o options, chip *gpiocdev.Chip, offset int, changed func()) (*gpiocdev.Line, bool, error) {
	settings := []gpiocdev.LineReqOption{gpiocdev.AsInput, gpiocdev.WithConsumer("kozo " + TypeName)}
	if o.ActiveLow {
		settings = append(settings, gpiocdev.AsActiveLow)
	}
	switch o.Bias {
	case "pull-up":
		settings = append(settings, gpiocdev.WithPullUp)
	case "pull-down":
		settings = append(settings, gpiocdev.WithPullDown)
	case "disabled":
		settings = append(settings, gpiocdev.WithBiasDisabled)
	}
	edges := []gpiocdev.LineReqOption{
		gpiocdev.WithBothEdges, gpiocdev.WithEventHandler(func(gpiocdev.LineEvent) { changed() }),
	}
	if o.Debounce > 0 {
		inKernel := append(slices.Clone(settings), gpiocdev.WithDebounce(o.Debounce))
		if o.Edges {
			inKernel = append(inKernel, edges...)
		}
		if l, err := chip.RequestLine(offset, inKernel...); err == nil || errors.Is(err, syscall.EBUSY) {
			return l, false, err
		}
	}
	if o.Edges || o.Debounce > 0 {
		settings = append(settings, edges...)
	}
	l, err := chip.RequestLine(offset, settings...)
	return l, o.Debounce > 0, err
}

// explain says what a person can do about a line that cannot be had.
func explain(err error, o options, chip *gpiocdev.Chip, offset int, what string) error {
	switch {
	case errors.Is(err, syscall.EBUSY):
		by := "another program or the kernel"
		if info, err := chip.LineInfo(offset); err == nil && info.Consumer != "" {
			by = strconv.Quote(info.Consumer)
		}
		return fmt.Errorf("%s is in use by %s; end that, or connect the sensor to another pin", what, by)
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENXIO):
		hint := "it is perhaps no input"
		switch {
		case o.Edges || o.Debounce > 0:
			hint = "the chip perhaps does not report changes: try it without edges and debounce"
		case o.Bias != "as-is":
			hint = "the chip perhaps has no resistors: try it without bias, and with a resistor of your own"
		}
		return fmt.Errorf("%s cannot be used like this (%w); %s", what, err, hint)
	}
	return fmt.Errorf("%s cannot be used: %w", what, err)
}

// findChip opens the chip that the options mean.
func findChip(o options) (*gpiocdev.Chip, error) {
	if strings.Contains(o.Chip, "/") {
		c, err := gpiocdev.NewChip(o.Chip)
		if err != nil {
			return nil, fmt.Errorf("the GPIO chip %s cannot be opened: %w", o.Chip, remedy(o.Chip, err))
		}
		return c, nil
	}
	var found []string // for people
	var denied error
	for _, name := range gpiocdev.Chips() {
		c, err := gpiocdev.NewChip(name)
		if err != nil {
			path := filepath.Join("/dev", name)
			found = append(found, name)
			if denied == nil {
				denied = fmt.Errorf("%s cannot be opened: %w", path, remedy(path, err))
			}
			continue
		}
		if wanted(o, c) {
			return c, nil
		}
		found = append(found, fmt.Sprintf("%s (%s)", c.Name, c.Label))
		c.Close()
	}
	switch {
	case denied != nil:
		return nil, denied
	case len(found) == 0:
		return nil, errors.New("this machine has no GPIO chip: there is no /dev/gpiochip0; on a Raspberry Pi a kernel of the year 2017 or later makes one")
	case o.Chip == "":
		return nil, fmt.Errorf("no GPIO chip here is that of a Raspberry Pi's header; set chip to one of %s", strings.Join(found, ", "))
	}
	return nil, fmt.Errorf("there is no GPIO chip %s; set chip to one of %s", o.Chip, strings.Join(found, ", "))
}

// wanted says whether a chip is the one that the options mean.
func wanted(o options, c *gpiocdev.Chip) bool {
	if o.Chip == "" {
		return slices.Contains(headers(), c.Label)
	}
	return o.Chip == c.Name || o.Chip == c.Label
}

// remedy adds to an error what a person can do about it.
func remedy(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		group := "of its group"
		if info, statErr := os.Stat(path); statErr == nil {
			if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Gid != 0 {
				if g, err := user.LookupGroupId(strconv.Itoa(int(st.Gid))); err == nil {
					group = "of the group " + g.Name + " (sudo usermod -aG " + g.Name + " USER)"
				}
			}
		}
		return fmt.Errorf("this user may not; become one %s, or run the node as root", group)
	case errors.Is(err, fs.ErrNotExist):
		return errors.New("there is no such file")
	}
	return err
}

// findOffset finds the line on its chip.
func findOffset(o options, chip *gpiocdev.Chip) (int, error) {
	if n, err := strconv.Atoi(o.Pin); err == nil {
		if n < 0 || n >= chip.Lines() {
			return 0, fmt.Errorf("%s (%s) has no line %d: its lines are 0 to %d", chip.Name, chip.Label, n, chip.Lines()-1)
		}
		return n, nil
	}
	var names []string
	for n := range chip.Lines() {
		info, err := chip.LineInfo(n)
		if err != nil {
			continue
		}
		if info.Name == o.Pin {
			return n, nil
		}
		if info.Name != "" {
			names = append(names, info.Name)
		}
	}
	known := "its lines have no names, so use the number"
	if len(names) > 0 {
		known = "its lines are " + strings.Join(names, ", ")
	}
	return 0, fmt.Errorf("%s (%s) has no line named %s; %s", chip.Name, chip.Label, o.Pin, known)
}
