package config

import (
	"fmt"
	"strings"
)

// didYouMean returns a hint with the candidate that a wrong word was probably
// meant to be, or nothing.
func didYouMean(word string, candidates []string) string {
	best, least := "", 1+max(1, min(3, len([]rune(word))/3))
	for _, c := range candidates {
		if strings.EqualFold(word, c) {
			best = c
			break
		}
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < least {
			best, least = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// distance counts the letters that have to be added, removed, replaced or
// swapped with their neighbour to make one word of another. Words of very
// different length are simply far apart.
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	if d := len(s) - len(t); d > 4 || d < -4 {
		return 5
	}
	two, one, row := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(s); i++ {
		two, one, row = one, row, two
		row[0] = i
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			row[j] = min(one[j]+1, row[j-1]+1, one[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
		}
	}
	return row[len(t)]
}
