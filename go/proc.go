// SPDX-License-Identifier: MIT OR GPL-2.0

package gosched

import (
	"bytes"
	"errors"
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
	const path = "/proc/self/status"
	status, err := os.ReadFile(path)
	switch {
	case errors.Is(err, os.ErrNotExist) || err == nil && !ofOwnNamespace(status):
		return procFailure()
	case err != nil:
		return readFailure(path, err)
	}
	return nil
}

// checkFilter returns an error if the calling thread has a filter of system calls, which might
// end the program for those of the backend. The last backend is tried whatever that does.
func checkFilter(kind Backend, last bool) error {
	if last {
		return nil
	}
	const path = "/proc/thread-self/status"
	status, err := os.ReadFile(path)
	if err != nil {
		return readFailure(path, err)
	}
	// SECCOMP_MODE_FILTER, see proc(5).
	if statusField(status, "Seccomp") == "2" {
		return filterFailure(kind)
	}
	return nil
}

// ofOwnNamespace tells whether the file status of the process is from a /proc of its own pid
// namespace: "NSpid:" has an id for each namespace from that of /proc down to its own, so that
// two equal ids deceive nobody. A kernel without namespaces has no such line.
func ofOwnNamespace(status []byte) bool {
	return len(strings.Fields(statusField(status, "NSpid"))) <= 1
}

// readProc returns what a file of /proc tells of a thread. ESRCH says that there is no such
// thread, and any other error that the file of a thread cannot be read.
func readProc(tid int, file string) ([]byte, error) {
	path := procPath(tid, file)
	text, err := os.ReadFile(path)
	if err == nil {
		return text, nil
	}
	// The file may be missing or hidden while the thread lives.
	if errors.Is(err, os.ErrNotExist) {
		if _, errno := sys.GetAttr(tid); errno != 0 {
			return nil, syscall.ESRCH
		}
	}
	if errors.Is(err, syscall.ESRCH) {
		return nil, syscall.ESRCH
	}
	return nil, readFailure(path, err)
}

func procPath(tid int, file string) string { return "/proc/" + strconv.Itoa(tid) + "/" + file }

// startTime returns when a thread started, in clock ticks since the machine did, and the
// errors of readProc.
func startTime(tid int) (uint64, error) {
	stat, err := readProc(tid, "stat")
	if err != nil {
		return 0, err
	}
	// The name, field 2, is in parentheses and may contain anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	// The start time is field 22, see proc(5), and two are cut off.
	if len(fields) < 20 {
		return 0, readFailure(procPath(tid, "stat"), errors.New("it has no start time"))
	}
	start, err := strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return 0, readFailure(procPath(tid, "stat"), err)
	}
	return start, nil
}

// statusField returns a field of a file status of /proc, empty if there is none such.
func statusField(status []byte, field string) string {
	_, after, _ := bytes.Cut(status, []byte("\n"+field+":\t"))
	line, _, _ := bytes.Cut(after, []byte("\n"))
	return string(line)
}
