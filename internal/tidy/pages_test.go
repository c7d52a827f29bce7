package tidy

import (
	"slices"
	"strings"
	"testing"
)

// mapping is an entry of smaps.
func mapping(head string, anonymous, swap string) string {
	return head + "\nSize:  1234 kB\nRss:  1200 kB\nAnonymous: " + anonymous + " kB\nSwap: " + swap + " kB\nVmFlags: rd ex mr mw me sd\n"
}

func TestPagesThatAreAsInTheFile(t *testing.T) {
	text := "00400000-0095e000 r-xp 00000000 fe:00 9977877    /usr/bin/kozo"
	for _, test := range []struct {
		name, smaps string
		want        []area
	}{
		{"the text and the constants of a program", mapping(text, "0", "0") +
			mapping("0095e000-00f06000 r--p 0055e000 fe:00 9977877  /usr/bin/kozo", "0", "0") +
			mapping("00f06000-00f4b000 rw-p 00b06000 fe:00 9977877  /usr/bin/kozo", "0", "0"),
			[]area{{0x400000, 0x95e000}, {0x95e000, 0xf06000}}},
		{"a program that was replaced meanwhile", mapping(text+" (deleted)", "0", "0"), []area{{0x400000, 0x95e000}}},
		{"a file with a space", mapping("1000-2000 r-xp 00000000 fe:00 99  /a b", "0", "0"), []area{{0x1000, 0x2000}}},
		{"one that others write to as well", mapping("1000-2000 r--s 00000000 fe:00 99  /a", "0", "0"), nil},
		{"written to by a debugger", mapping(text, "4", "0"), nil},
		{"written to, and not in memory", mapping(text, "0", "4"), nil},
		{"memory of no file", mapping("1000-2000 r--p 00000000 00:00 0", "0", "0"), nil},
		{"memory of the kernel", mapping("7f117b3a0000-7f117b600000 r-xp 00000000 00:00 0   [vdso]", "0", "0"), nil},
		{"a kernel that says less", text + "\nSize: 4 kB\nAnonymous: 0 kB\n", nil},
		{"only the heads, as in maps", text + "\n" + text + "\n", nil},
		{"addresses the wrong way round", mapping("2000-1000 r-xp 00000000 fe:00 99  /a", "0", "0"), nil},
		{"nonsense", "\n-\nx-y r-xp 0 0 0 /a\nAnonymous:\nSwap: 0 kB\n:\n", nil},
		{"nothing", "", nil},
	} {
		if got := unchanged(strings.NewReader(test.smaps)); !slices.Equal(got, test.want) {
			t.Errorf("%s: %x, should be %x", test.name, got, test.want)
		}
	}
}
