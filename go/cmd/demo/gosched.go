// SPDX-License-Identifier: MIT OR GPL-2.0

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

// askGosched runs the gosched command, and reads the JSON that it answers.
func askGosched(answer any, args ...string) error {
	command := exec.Command("gosched", append([]string{"--json"}, args...)...)
	out, err := command.Output()
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("gosched is not in PATH; `make demo` runs this program where it is")
	}
	line := strings.Join(command.Args, " ")
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("`%s` failed:\n%s", line, strings.TrimSpace(string(exit.Stderr)))
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, answer); err != nil {
		return fmt.Errorf("`%s` answers what this program does not understand, build both from "+
			"one tree: %w", line, err)
	}
	return nil
}

// inForce returns the parameters in force for threads, in their order. The module tells
// them; all other calls tell what the threads have without Go priorities.
func inForce(tids []int) ([]kernelParams, error) {
	args := []string{"get"}
	for _, tid := range tids {
		args = append(args, strconv.Itoa(tid))
	}
	var threads []struct {
		Current kernelParams `json:"current"`
	}
	if err := askGosched(&threads, args...); err != nil {
		return nil, err
	}
	params := make([]kernelParams, len(threads))
	for i, t := range threads {
		params[i] = t.Current
	}
	return params, nil
}

// mapping returns the parameters of each priority. The gosched command is built with the
// same source of the mapping as the module.
func mapping() (map[int]kernelParams, error) {
	var levels []struct {
		Prio int `json:"priority"`
		kernelParams
	}
	if err := askGosched(&levels, "map"); err != nil {
		return nil, err
	}
	table := make(map[int]kernelParams)
	for _, l := range levels {
		table[l.Prio] = l.kernelParams
	}
	return table, nil
}
