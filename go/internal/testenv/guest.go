// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build guest

package testenv

// InGuest tells whether the tests were built for the guest, where one that lacks what it needs
// fails. Elsewhere such a test is skipped.
const InGuest = true
