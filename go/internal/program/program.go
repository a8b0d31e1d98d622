// SPDX-License-Identifier: MIT OR GPL-2.0

// Package program begins and ends the programs of this module.
package program

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// Parse parses the flags of the program, which takes no other arguments. If there are any, or
// valid returns false, the program ends with exit status 2, and says the rule.
func Parse(rule string, valid func() bool) {
	flag.Parse()
	if flag.NArg() > 0 || !valid() {
		Fail(2, fmt.Errorf("takes no arguments, and %s", rule))
	}
}

// Fail ends the program with an exit status if there is an error, and says it.
func Fail(status int, err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		os.Exit(status)
	}
}
