// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build !guest

package testenv

// InGuest is explained in guest.go.
const InGuest = false
