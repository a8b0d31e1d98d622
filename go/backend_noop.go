// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

// noOp is the backend NoOp.
type noOp struct{}

func (noOp) maySet(target, Prio) error { return nil }

func (noOp) set(target, Prio, Children) error { return nil }

func (noOp) clear(target) error { return nil }

func (noOp) get(target) (Status, error) {
	return Status{Prio: None, Applied: None, Ceiling: None}, nil
}

func (noOp) mayReturn(target, Status, Prio) error { return nil }
