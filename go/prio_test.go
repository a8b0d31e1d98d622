// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"encoding/json"
	"syscall"
	"testing"
)

func TestThreadsAreWrittenAndReadByName(t *testing.T) {
	thread := Thread{7, "server", "compaction", Declared, Status{8, None, None, Inherit, true}}
	text, err := json.Marshal(thread)
	must(t, err)
	want := `{"tid":7,"name":"server","role":"compaction","source":"declared","status":{"priority":8,` +
		`"applied":null,"ceiling":null,"children":"inherit","bound":true}}`
	if string(text) != want {
		t.Errorf("got %s, want %s", text, want)
	}
	var back Thread
	must(t, json.Unmarshal(text, &back))
	if back != thread {
		t.Errorf("got %+v, want %+v", back, thread)
	}
	for _, text := range []string{`{"priority":64}`, `{"priority":255}`, `{"priority":-1}`,
		`{"priority":"high"}`, `{"children":"none"}`} {
		expectError(t, json.Unmarshal([]byte(text), &Status{}), syscall.EINVAL, "")
	}
	for prio, want := range map[Prio]string{0: "0", 63: "63", None: "none"} {
		if text, err := prio.MarshalText(); err != nil || string(text) != want {
			t.Errorf("%s, %v", text, err)
		}
	}
}
