// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"go_sched/gosched/internal/sys"
)

// docs/troubleshooting.md quotes each message of this package in a block "message go", word
// for word; "[..]" there stands for any text. It quotes nothing else.
func TestGuideExplainsWhatErrorsSay(t *testing.T) {
	page, err := os.ReadFile("../docs/troubleshooting.md")
	must(t, err)
	var quoted []string
	for _, block := range regexp.MustCompile("(?s)\n```message go\n(.*?)\n```").FindAllSubmatch(page, -1) {
		quoted = append(quoted, strings.Split(string(block[1]), "\n")...)
	}

	_, noHint := (&Scheduler{kind: SchedSetattr}).Bind()
	set, fair := setRequest(4711, 50), setRequest(4711, 40)
	for _, message := range []error{
		ErrUnsupported,
		elsewhereFailure(Device.String(), "darwin"),
		procFailure(),
		openFailure(syscall.ENOENT, Path),
		openFailure(syscall.EACCES, "/dev/null"),
		nodevFailure(syscall.EACCES),
		openFailure(syscall.ENXIO, "/dev/null"),
		openFailure(syscall.EPERM, Path),
		notTheDeviceFailure(syscall.ENOTTY),
		readFailure("/proc/4711/stat", syscall.EMFILE),
		readFailure("/proc/4711/stat", syscall.ENFILE),
		readFailure("/proc/4711/stat", syscall.EACCES),
		versionFailure(sys.ABIVersion - 1),
		versionFailure(sys.ABIVersion + 1),
		getattrFailure(syscall.ENOSYS),
		syscallFailure(syscall.EOPNOTSUPP),
		syscallFailure(syscall.ENOSYS),
		syscallFailure(syscall.EPERM),
		syscallFailure(syscall.EBUSY),
		filterFailure(SystemCall),
		filterFailure(SchedSetattr),
		noHint,
		Prio(64).check(),
		set.failed(syscall.ESRCH, ""),
		set.failed(syscall.EPERM, notPermitted),
		set.failed(syscall.EPERM, set.permission(32, 0)),
		fair.failed(syscall.EPERM, fair.permission(50, 0)),
		set.bySyscall(syscall.EPERM),
		set.failed(syscall.EPERM, setattrPermission),
		set.failed(syscall.EBUSY, ""),
		goPriorityFailure(set, 24),
		set.failed(syscall.EOPNOTSUPP, ""),
		set.failed(syscall.ENOSYS, ""),
		ErrNotBegun,
		notBegun{noReturnFailure(4711, 8)},
		notBegun{returnRequest(4711, 50).bySyscall(syscall.EPERM)},
		notBegun{boundFailure(4711)},
		notBegun{lockMemoryFailure(syscall.ENOMEM)},
		boundAlreadyFailure(4711, syscall.EBUSY),
		noSlotFailure(4711),
		(&Hint{bound: binding{tid: 4711}}).Unbind(),
		unboundFailure(unbindRequest(4711)),
		closedFailure(set),
	} {
		explained := false
		for i, line := range quoted {
			pattern := strings.ReplaceAll(regexp.QuoteMeta(line), `\[\.\.\]`, ".*")
			if regexp.MustCompile("^" + pattern + "$").MatchString(message.Error()) {
				explained = true
				quoted = append(quoted[:i], quoted[i+1:]...)
				break
			}
		}
		if !explained {
			t.Errorf("the page does not explain: %v", message)
		}
	}
	for _, line := range quoted {
		t.Errorf("the page explains what no error says: %s", line)
	}
}
