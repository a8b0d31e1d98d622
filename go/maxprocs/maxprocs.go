// SPDX-License-Identifier: GPL-2.0

//go:build linux

package gosched

import (
	"fmt"
	"io/fs"
	"math"
	"math/bits"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

// LimitProcs lowers GOMAXPROCS to the CPUs that this process can use, and returns what
// holds then: the number that its affinity allows, of which the cpuset is part, or its
// quota of CPU time if that is less, rounded up, but at least 2. The quota is the
// smallest on the path from its cgroup to the root, version 1 or 2, as far as it is
// visible. A program calls it once, before it starts goroutines.
//
// An explicit GOMAXPROCS environment variable stays, and GOMAXPROCS is never raised. The
// runtime of Go 1.25 and later does the same by itself, if the main module's go.mod says
// so many, but for quotas of outer cgroups: without those LimitProcs then changes
// nothing, and the runtime goes on to follow changes of the quota. Where LimitProcs does
// lower GOMAXPROCS, it stays.
func LimitProcs() (int, error) {
	if n, err := strconv.Atoi(os.Getenv("GOMAXPROCS")); err == nil && n > 0 {
		return runtime.GOMAXPROCS(0), nil
	}
	width, errno := affinityWidth()
	if errno != 0 {
		return runtime.GOMAXPROCS(0), os.NewSyscallError("sched_getaffinity", errno)
	}
	quota, err := cpuQuota(os.DirFS("/"))
	if err != nil {
		return runtime.GOMAXPROCS(0), err
	}
	// GOMAXPROCS is called to change something only: from then on the runtime follows no
	// changes any more.
	if want := procs(width, quota); want < runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(want)
	}
	return runtime.GOMAXPROCS(0), nil
}

// procs rounds as the runtime of Go 1.25 does.
func procs(width int, quota float64) int {
	if limit := math.Max(2, math.Ceil(quota)); limit < float64(width) {
		return int(limit)
	}
	return width
}

// affinityWidth returns the number of CPUs that the process may run on.
func affinityWidth() (int, syscall.Errno) {
	// As many CPUs as any kernel is built for: 8192.
	var set [128]uint64
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0,
		unsafe.Sizeof(set), uintptr(unsafe.Pointer(&set)))
	width := 0
	for _, word := range set {
		width += bits.OnesCount64(word)
	}
	return width, errno
}

// cpuQuota returns how many CPUs' time this process may use, +Inf without a quota. Root is
// the root directory.
func cpuQuota(root fs.FS) (float64, error) {
	cgroup, version, err := cpuCgroup(root)
	if err != nil || version == 0 {
		return math.Inf(1), err
	}
	mount, err := cgroupMount(root, version)
	if err != nil || mount == nil {
		return math.Inf(1), err
	}
	// What is outside the mount, or outside the cgroup namespace, is not visible.
	inside := "/"
	if mount.root == "/" {
		inside = cgroup
	} else if cgroup == mount.root || strings.HasPrefix(cgroup, mount.root+"/") {
		inside = strings.TrimPrefix(cgroup, mount.root)
	}
	quota := math.Inf(1)
	for inside = path.Clean("/" + inside); ; inside = path.Dir(inside) {
		own, err := quotaOf(root, path.Join(mount.point, inside)[1:], version)
		if err != nil {
			return math.Inf(1), err
		}
		quota = math.Min(quota, own)
		if inside == "/" {
			return quota, nil
		}
	}
}

// cpuCgroup returns the cgroup that counts for CPU time, and the version of its hierarchy;
// 0 if there is none.
func cpuCgroup(root fs.FS) (cgroup string, version int, err error) {
	text, err := readIfThere(root, "proc/self/cgroup")
	for _, line := range strings.Split(text, "\n") {
		fields := strings.SplitN(line, ":", 3)
		if len(fields) < 3 {
			continue
		}
		if listed(fields[1], "cpu") {
			return fields[2], 1, err
		}
		if fields[0] == "0" {
			cgroup, version = fields[2], 2
		}
	}
	return cgroup, version, err
}

// mountPoint is where a part of a cgroup hierarchy is mounted.
type mountPoint struct {
	root, point string
}

// cgroupMount returns where the hierarchy is mounted, nil if nowhere.
func cgroupMount(root fs.FS, version int) (*mountPoint, error) {
	text, err := readIfThere(root, "proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Split(text, "\n") {
		mount, source, _ := strings.Cut(line, " - ")
		left, right := strings.Fields(mount), strings.Fields(source)
		if len(left) < 5 || len(right) < 3 {
			continue
		}
		if version == 2 && right[0] == "cgroup2" ||
			version == 1 && right[0] == "cgroup" && listed(right[2], "cpu") {
			return &mountPoint{unescape(left[3]), unescape(left[4])}, nil
		}
	}
	return nil, nil
}

// unescape undoes what mountinfo does to special characters, see proc(5).
func unescape(name string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(name)
}

func listed(list, name string) bool {
	for _, entry := range strings.Split(list, ",") {
		if entry == name {
			return true
		}
	}
	return false
}

// quotaOf returns the quota of one cgroup, +Inf without any.
func quotaOf(root fs.FS, directory string, version int) (float64, error) {
	var quota, period string
	if version == 2 {
		text, err := readIfThere(root, path.Join(directory, "cpu.max"))
		if err != nil {
			return 0, err
		}
		quota, period, _ = strings.Cut(strings.TrimSpace(text), " ")
	} else {
		for name, value := range map[string]*string{"cpu.cfs_quota_us": &quota, "cpu.cfs_period_us": &period} {
			text, err := readIfThere(root, path.Join(directory, name))
			if err != nil {
				return 0, err
			}
			*value = strings.TrimSpace(text)
		}
	}
	// The root has no such files.
	if quota == "" || quota == "max" || quota == "-1" {
		return math.Inf(1), nil
	}
	used, err := strconv.ParseFloat(quota, 64)
	if err != nil {
		return 0, fmt.Errorf("the quota of /%s: %w", directory, err)
	}
	of, err := strconv.ParseFloat(period, 64)
	if err != nil {
		return 0, fmt.Errorf("the quota's period of /%s: %w", directory, err)
	}
	return used / of, nil
}

// readIfThere returns the content of a file, and nothing if there is no such file.
func readIfThere(root fs.FS, name string) (string, error) {
	text, err := fs.ReadFile(root, name)
	if os.IsNotExist(err) {
		return "", nil
	}
	return string(text), err
}
