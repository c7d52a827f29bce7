package extern

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"kozo"
)

// Limits of what a program says about a block.
const (
	maxEndpoints = 64
	maxEndpoint  = 1 << 10 // bytes
	maxRemarks   = 100
)

// about is what a program says about a block.
type about struct {
	endpoints        []string
	priority         kozo.Priority
	binds            []string
	errors, warnings []*kozo.OptionError
}

// parseAbout reads the answer to the question about a block.
func parseAbout(answer json.RawMessage) (about, error) {
	type remark struct{ Option, Text string }
	var raw struct {
		Endpoints        []string
		Accepts          *bool
		Priority         string
		Binds            []string
		Errors, Warnings []remark
	}
	if err := json.Unmarshal(answer, &raw); err != nil {
		return about{}, fmt.Errorf("its answer is not right: %w", err)
	}
	a := about{priority: kozo.Fair, binds: raw.Binds}
	if raw.Accepts == nil || *raw.Accepts {
		a.endpoints = raw.Endpoints
	}
	if len(a.endpoints) > maxEndpoints || len(a.binds) > maxEndpoints {
		return a, fmt.Errorf("it names more than %d endpoints", maxEndpoints)
	}
	for _, e := range a.endpoints {
		if strings.TrimSpace(e) == "" || len(e) > maxEndpoint {
			return a, fmt.Errorf("%.40q is not an endpoint: it has from 1 to %d bytes", e, maxEndpoint)
		}
	}
	if raw.Priority != "" {
		words := [...]string{kozo.Worst: "worst", kozo.Poor: "poor", kozo.Fair: "fair", kozo.Good: "good", kozo.Best: "best"}
		a.priority = -1
		for p, word := range words {
			if word == raw.Priority {
				a.priority = kozo.Priority(p)
			}
		}
		if a.priority < 0 {
			return a, fmt.Errorf("its priority is %.40q; it is one of %s", raw.Priority, strings.Join(words[:], ", "))
		}
	}
	say := func(remarks []remark) (list []*kozo.OptionError) {
		for _, r := range remarks[:min(len(remarks), maxRemarks)] {
			list = append(list, &kozo.OptionError{Option: r.Option, Err: errors.New(kozo.Printable(r.Text))})
		}
		return list
	}
	a.errors, a.warnings = say(raw.Errors), say(raw.Warnings)
	return a, nil
}
