package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// results is all that is measured, as it is written in JSON.
type results struct {
	Machine    machine               `json:"machine"`
	Parts      map[string]partRecord `json:"parts"`
	Neighbours []neighbour           `json:"neighbours,omitempty"`
	Ratios     []ratio               `json:"ratios,omitempty"`
	Throughput []throughput          `json:"throughput,omitempty"`
	Fanout     []throughput          `json:"fanout,omitempty"`
	Curves     []curve               `json:"curves,omitempty"`
	Latency    []latency             `json:"latency,omitempty"`
	Overload   *overload             `json:"overload,omitempty"`
	Start      *startTime            `json:"start,omitempty"`
	Memory     *memory               `json:"memory,omitempty"`
	Resident   []resident            `json:"resident,omitempty"`
	Mesh       []mesh                `json:"mesh,omitempty"`
	Idle       *idle                 `json:"idle,omitempty"`
	Onion      *slowLink             `json:"onion,omitempty"`
	Bluetooth  *overBluetooth        `json:"bluetooth,omitempty"`
}

// partRecord says when a part was measured, and how.
type partRecord struct {
	When   time.Time `json:"when"`
	Quick  bool      `json:"quick,omitempty"`
	Rounds int       `json:"rounds"`
}

// keep takes from older results what was not measured this time. Those of
// another machine are not kept: nobody could compare them.
func (r *results) keep(old *results) {
	if old.Machine != r.Machine {
		return
	}
	for _, v := range old.Ratios { // in their order, so that a record shows what is new
		if _, measured := r.Parts[v.part()]; !measured {
			r.Ratios = append(r.Ratios, v)
		}
	}
	for part, record := range old.Parts {
		if _, measured := r.Parts[part]; measured {
			continue
		}
		r.Parts[part] = record
		switch part {
		case "throughput":
			r.Throughput = old.Throughput
		case "fanout":
			r.Fanout = old.Fanout
		case "curves":
			r.Curves = old.Curves
		case "latency":
			r.Latency = old.Latency
		case "overload":
			r.Overload = old.Overload
		case "start":
			r.Start = old.Start
		case "memory":
			r.Memory, r.Resident = old.Memory, old.Resident
		case "mesh":
			r.Mesh = old.Mesh
		case "idle":
			r.Idle = old.Idle
		case onionPart:
			r.Onion = old.Onion
		case bluetoothPart:
			r.Bluetooth = old.Bluetooth
		}
	}
	if len(r.Neighbours) == 0 {
		r.Neighbours = old.Neighbours
	}
}

// part is what the figures of a ratio were measured in.
func (v *ratio) part() string {
	switch {
	case v.Figure == figureP50 || v.Figure == figureP99:
		return "latency"
	case v.Receivers > 1:
		return "fanout"
	}
	return "throughput"
}

// ratio returns one of the ratios; it is zero if that was not measured.
func (r *results) ratio(figure, system string, size, receivers int) spread {
	i := slices.IndexFunc(r.Ratios, func(v ratio) bool {
		return v.Figure == figure && v.System == system && v.Size == size && (v.Receivers > 1) == (receivers > 1)
	})
	if i < 0 {
		return spread{}
	}
	return r.Ratios[i].Ratio
}

// when says when all parts were measured, for people.
func (r *results) when() string {
	var days []string
	for _, p := range r.Parts {
		days = append(days, p.When.Format(time.DateOnly))
	}
	if len(days) == 0 {
		return ""
	}
	first, last := slices.Min(days), slices.Max(days)
	if first == last {
		return first
	}
	return first + " to " + last
}

// loadResults reads recorded results.
func loadResults(name string) (*results, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r := &results{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// save writes the results to a file. What is already in the file and was not
// measured this time stays.
func (r *results) save(name string) error {
	old, err := loadResults(name)
	switch {
	case err == nil:
		r.keep(old)
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(text, '\n'), 0o644)
}
