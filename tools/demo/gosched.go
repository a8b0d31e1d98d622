// SPDX-License-Identifier: GPL-2.0

//go:build linux && amd64

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// mapping returns the parameters that the priorities stand for, by priority. It asks
// the gosched command, which has the mapping from the same source as the kernel's module.
func mapping() (map[int]kernelParams, error) {
	out, err := exec.Command("gosched", "--json", "map").Output()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, errors.New("gosched is not in PATH; `make demo` runs this program where it is")
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil, fmt.Errorf("`gosched --json map` failed:\n%s", strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return nil, err
	}
	var levels []struct {
		Prio int `json:"priority"`
		kernelParams
	}
	if err := json.Unmarshal(out, &levels); err != nil {
		return nil, fmt.Errorf("`gosched --json map` answers what this program does not "+
			"understand, build both from one tree: %w", err)
	}
	table := make(map[int]kernelParams)
	for _, l := range levels {
		table[l.Prio] = l.kernelParams
	}
	return table, nil
}
