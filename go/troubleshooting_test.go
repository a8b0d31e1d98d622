// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
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
	set, bind := setRequest(4711, 50), "cannot bind thread 4711"
	for _, said := range []error{
		ErrUnsupported,
		openFailure(syscall.ENOENT),
		openFailure(syscall.EACCES),
		versionFailure(abiVersion - 1),
		versionFailure(abiVersion + 1),
		written(t, "refuses sched_getattr(2)", syscall.ENOSYS),
		callFailure(syscall.EOPNOTSUPP),
		callFailure(syscall.ENOSYS),
		callFailure(syscall.EPERM),
		callFailure(syscall.EBUSY),
		noHint,
		Prio(64).check(),
		set.failed(syscall.ESRCH, ""),
		set.failed(syscall.EPERM, notPermitted),
		set.failed(syscall.EPERM, set.permission(32, 0)),
		setRequest(4711, 40).failed(syscall.EPERM, setRequest(4711, 40).permission(50, 0)),
		set.failed(syscall.EPERM, written(t, "is above the thread's ceiling, which", 50, 4711, 50, 4711).text),
		set.failed(syscall.EPERM, written(t, "sched_setattr(2) takes CAP_SYS_NICE").text),
		set.failed(syscall.EBUSY, ""),
		written(t, "which sched_setattr(2) would end", set, 24, 4711),
		set.failed(syscall.EOPNOTSUPP, ""),
		set.failed(syscall.ENOSYS, ""),
		written(t, "not begun: sched_setattr(2)", 4711, 8),
		callFailed(returnRequest(4711, 50), syscall.EPERM),
		written(t, "not begun: thread %d is bound", 4711),
		written(t, "cannot lock the memory", syscall.ENOMEM),
		written(t, "it is bound already", bind),
		written(t, "slots of the device are bound", bind, hintMaxSize/slotSize),
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

// written returns an error of the package that takes a kernel, or a user, which the test
// does not have: the one that has these words in the source, with the values in it.
func written(t *testing.T, words string, values ...any) *failure {
	t.Helper()
	names, err := filepath.Glob("*.go")
	must(t, err)
	var found []string
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		must(t, err)
		source = regexp.MustCompile(`"\s*\+\s*"`).ReplaceAll(source, nil)
		for _, literal := range regexp.MustCompile(`"(?:[^"\\\n]|\\.)*"`).FindAll(source, -1) {
			if text, err := strconv.Unquote(string(literal)); err == nil && strings.Contains(text, words) {
				found = append(found, text)
			}
		}
	}
	if len(found) != 1 {
		t.Fatalf("%q is in %d messages of the package: %q", words, len(found), found)
	}
	return &failure{text: fmt.Sprintf(found[0], values...)}
}
