// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// What docs/troubleshooting.md explains of this package is what it says, word for word;
// there "[..]" stands for any text.
func TestGuideExplainsWhatErrorsSay(t *testing.T) {
	page, err := os.ReadFile("../docs/troubleshooting.md")
	must(t, err)
	var quoted []string
	for _, block := range regexp.MustCompile("(?s)\n```message go\n(.*?)\n```").FindAllSubmatch(page, -1) {
		quoted = append(quoted, strings.Split(string(block[1]), "\n")...)
	}

	_, noHint := (&Scheduler{kind: SchedSetattr}).Bind()
	set := setRequest(4711, 50)
	for _, said := range []error{
		ErrUnsupported,
		openFailure(syscall.ENOENT),
		openFailure(syscall.EACCES),
		versionFailure(abiVersion - 1),
		versionFailure(abiVersion + 1),
		noHint,
		Prio(64).check(),
		set.failed(syscall.ESRCH, ""),
		set.failed(syscall.EPERM, (&device{fd: -1}).permission(set)),
		set.failed(syscall.EBUSY, ""),
		set.failed(syscall.EOPNOTSUPP, ""),
		set.failed(syscall.ENOSYS, ""),
		(&Hint{bound: boundSlot{tid: 4711}}).Unbind(),
	} {
		explained := false
		for i, line := range quoted {
			pattern := strings.ReplaceAll(regexp.QuoteMeta(line), `\[\.\.\]`, ".*")
			if regexp.MustCompile("^" + pattern + "$").MatchString(said.Error()) {
				explained = true
				quoted = append(quoted[:i], quoted[i+1:]...)
				break
			}
		}
		if !explained {
			t.Errorf("the page does not explain: %v", said)
		}
	}
	for _, line := range quoted {
		t.Errorf("the page explains what is never said: %s", line)
	}
}
