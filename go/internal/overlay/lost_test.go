// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package overlay

import (
	"fmt"
	"strings"
	"testing"
)

// Each scenario of testdata/lost would not end if a lowered goroutine was lost.
func TestNoLoweredGoroutineIsLost(t *testing.T) {
	path := build(t, "lost", "plain", nil)
	names, err := output(t, nil, path)
	must(t, err)
	scenarios := strings.Split(strings.TrimSpace(names), "\n")
	if len(scenarios) < 20 {
		t.Fatalf("there are %d scenarios", len(scenarios))
	}
	for _, scenario := range scenarios {
		for _, procs := range []int{1, 2, 4} {
			scenario, env := scenario, []string{fmt.Sprint("GOMAXPROCS=", procs)}
			t.Run(fmt.Sprint(scenario, " at ", procs), func(t *testing.T) {
				t.Parallel()
				succeed(t, env, path, scenario)
			})
		}
	}
}
