// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

// noOp is the backend NoOp.
type noOp struct{}

func (noOp) set(int, Prio, Children) error { return nil }

func (noOp) clear(int) error { return nil }

func (noOp) get(int) (State, error) {
	return State{Prio: None, Applied: None, Ceiling: None}, nil
}

func (noOp) mayReturn(int, State, Prio) error { return nil }
