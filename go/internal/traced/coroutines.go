// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && go1.23

package main

import "iter"

// coroutines takes values from a function that runs as a coroutine: to its end, and not.
func coroutines() {
	count := func(yield func(int) bool) {
		for i := 0; i < 10; i++ {
			if !yield(i) {
				return
			}
		}
	}
	for _, limit := range []int{5, 20} {
		next, stop := iter.Pull(iter.Seq[int](count))
		for i := 0; i < limit; i++ {
			next()
		}
		stop()
	}
}
