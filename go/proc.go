// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

import (
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"go_sched/gosched/internal/sys"
)

// checkProc returns an error unless /proc names threads as system calls do. In a new pid
// namespace that has the /proc of another one, an id is there of another thread, or of none.
func checkProc() error {
	if !sys.Linux {
		return elsewhereFailure("/proc", runtime.GOOS)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil || !ofOwnNamespace(status) {
		return procFailure()
	}
	return nil
}

// ofOwnNamespace tells whether the file status of the process is from a /proc of its own pid
// namespace: "NSpid:" has an id for each namespace from that of /proc down to its own, so that
// two equal ids deceive nobody. A kernel without namespaces has no such line.
func ofOwnNamespace(status []byte) bool {
	return len(strings.Fields(statusField(status, "NSpid"))) <= 1
}

// readProc returns what a file of /proc tells of a thread. ENOENT says that checkProc
// returns an error, and ESRCH that there is no such thread, or no such file.
func readProc(tid int, file string) ([]byte, syscall.Errno) {
	if checkProc() != nil {
		return nil, syscall.ENOENT
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/" + file)
	if err != nil {
		return nil, syscall.ESRCH
	}
	return text, 0
}

// startTime returns when a thread started, in clock ticks since the machine did, and the
// errors of readProc.
func startTime(tid int) (uint64, syscall.Errno) {
	stat, errno := readProc(tid, "stat")
	if errno != 0 {
		return 0, errno
	}
	// The name, field 2, is in parentheses and may contain anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	// The start time is field 22, see proc(5), and two are cut off.
	if len(fields) < 20 {
		return 0, syscall.ESRCH
	}
	start, err := strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return 0, syscall.ESRCH
	}
	return start, 0
}

// ownStatus returns a field of /proc/thread-self/status, empty if there is none such.
func ownStatus(field string) string {
	status, _ := os.ReadFile("/proc/thread-self/status")
	return statusField(status, field)
}

// statusField returns a field of a file status of /proc, empty if there is none such.
func statusField(status []byte, field string) string {
	_, after, _ := bytes.Cut(status, []byte("\n"+field+":\t"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	return string(line)
}
