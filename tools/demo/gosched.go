// SPDX-License-Identifier: GPL-2.0

//go:build linux && amd64

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// gosched runs the command and returns what it prints.
func gosched(args ...string) ([]byte, error) {
	out, err := exec.Command("gosched", args...).Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, errors.New("gosched is not in PATH; `make demo` runs this program where it is")
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("`gosched %s` failed:\n%s",
			strings.Join(args, " "), strings.TrimSpace(string(exit.Stderr)))
	}
	return out, err
}

// goschedJSON decodes what the command prints about each of many things.
func goschedJSON(into any, args ...string) error {
	out, err := gosched(append([]string{"--json"}, args...)...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("`gosched --json %s` answers what this program does not "+
			"understand, build both from one tree: %w", strings.Join(args, " "), err)
	}
	return nil
}

// mapping returns the parameters that the priorities stand for, by priority.
func mapping() (map[int]kernelParams, error) {
	var levels []struct {
		Prio int `json:"priority"`
		kernelParams
	}
	if err := goschedJSON(&levels, "map"); err != nil {
		return nil, err
	}
	table := make(map[int]kernelParams)
	for _, l := range levels {
		table[l.Prio] = l.kernelParams
	}
	return table, nil
}

// goPrios returns the Go priorities of threads, nil for a thread with none.
func goPrios(tids ...int) (map[int]*int, error) {
	var answer []struct {
		TID  int  `json:"tid"`
		Prio *int `json:"priority"`
	}
	if err := goschedJSON(&answer, append([]string{"get"}, decimals(tids)...)...); err != nil {
		return nil, err
	}
	prios := make(map[int]*int)
	for _, a := range answer {
		prios[a.TID] = a.Prio
	}
	return prios, nil
}

func decimals(numbers []int) []string {
	var texts []string
	for _, n := range numbers {
		texts = append(texts, strconv.Itoa(n))
	}
	return texts
}
