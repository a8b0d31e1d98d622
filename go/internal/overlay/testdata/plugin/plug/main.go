// SPDX-License-Identifier: MIT OR GPL-2.0

// The plugin of the command plugin.
package main

import "go_sched/gosched"

// Change gives the goroutine the priority 20, and returns the one it had.
func Change() (gosched.Prio, error) { return gosched.SetGoroutine(20) }

func main() {}
