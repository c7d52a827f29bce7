package secure

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
)

// The ssh package drops names that it does not know from a list without a word,
// so every name is checked before it gets there.

// CheckCipher returns the SSH name of a cipher. It takes that name, or the part
// before the @ of it. The error lists the ciphers that there are.
func CheckCipher(name string) (string, error) {
	return checkAlgorithm("cipher", name, ssh.SupportedAlgorithms().Ciphers, ssh.InsecureAlgorithms().Ciphers)
}

// CheckMAC returns the SSH name of a message authentication code, on the terms
// of [CheckCipher].
func CheckMAC(name string) (string, error) {
	return checkAlgorithm("hmac", name, ssh.SupportedAlgorithms().MACs, ssh.InsecureAlgorithms().MACs)
}

func checkAlgorithm(what, name string, supported, insecure []string) (string, error) {
	want := short(strings.ToLower(strings.TrimSpace(name)))
	is := func(s string) bool { return short(s) == want }
	if i := slices.IndexFunc(supported, is); i >= 0 {
		return supported[i], nil
	}
	var names []string
	for _, s := range supported {
		names = append(names, short(s))
	}
	list := strings.Join(names, ", ")
	if slices.ContainsFunc(insecure, is) {
		return "", fmt.Errorf("%s %q is not safe; use one of %s", what, name, list)
	}
	best, distance := "", 5
	for _, s := range names {
		if d := editDistance(want, s); d < distance {
			best, distance = s, d
		}
	}
	if best != "" {
		return "", fmt.Errorf("unknown %s %q (did you mean %q?); there are %s", what, printable(name, 64), best, list)
	}
	return "", fmt.Errorf("unknown %s %q; there are %s", what, printable(name, 64), list)
}

func short(name string) string { return strings.TrimSuffix(name, "@openssh.com") }

// editDistance counts the letters to insert, delete or change to get from one
// name to the other. Long names are far from everything.
func editDistance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
