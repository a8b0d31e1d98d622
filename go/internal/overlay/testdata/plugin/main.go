// SPDX-License-Identifier: MIT OR GPL-2.0

// Command plugin calls a plugin, which sees the priorities of the program.
package main

import (
	"fmt"
	"os"
	"plugin"

	"go_sched/gosched"
)

func main() {
	p, err := plugin.Open(os.Args[1])
	check(err)
	symbol, err := p.Lookup("Change")
	check(err)
	_, err = gosched.SetGoroutine(8)
	check(err)
	before, err := symbol.(func() (gosched.Prio, error))()
	check(err)
	if now := gosched.Goroutine(); before != 8 || now != 20 {
		panic(fmt.Sprintf("the plugin has found %v and left %v", before, now))
	}
	fmt.Println("done")
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
