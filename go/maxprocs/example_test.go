// SPDX-License-Identifier: MIT OR GPL-2.0

package maxprocs_test

import (
	"log"

	"go_sched/gosched/maxprocs"
)

import _ "go_sched/gosched/maxprocs"

// A program that imports the package for its effect calls nothing.
func Example() {
	// Output:
}

// A program that wants to know calls Set.
func ExampleSet() {
	if n, err := maxprocs.Set(); err != nil {
		log.Printf("GOMAXPROCS is %d: %v", n, err)
	}
	// Output:
}
