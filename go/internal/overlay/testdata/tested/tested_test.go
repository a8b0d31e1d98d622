// SPDX-License-Identifier: MIT OR GPL-2.0

// Package tested has a test that needs the overlay.
package tested

import (
	"testing"

	"go_sched/gosched"
)

func TestGoroutinesHavePriorities(t *testing.T) {
	if err := gosched.Overlay(); err != nil {
		t.Fatal(err)
	}
	t.Run("below", func(t *testing.T) {
		t.Parallel()
		if _, err := gosched.SetGoroutine(8); err != nil {
			t.Fatal(err)
		}
	})
}
