// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux && !go1.23

package main

// coroutines does nothing, as this Go has none.
func coroutines() {}
