// SPDX-License-Identifier: MIT OR GPL-2.0

// Package maxprocs sets GOMAXPROCS to the CPU quota of a program's cgroup. To import it is
// enough:
//
//	import _ "go_sched/gosched/maxprocs"
//
// It calls Set when the program starts, and logs an error. A program that wants the result
// calls Set again. Where there are no cgroups, as on other systems than Linux, the package
// changes nothing.
package maxprocs

import (
	"fmt"
	"io/fs"
	"log"
	"math"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
)

func init() {
	if n, err := Set(); err != nil {
		log.Printf("maxprocs: GOMAXPROCS stays %d: %v", n, err)
	}
}

// Set lowers GOMAXPROCS to the number of CPUs that this process can use, and returns the
// GOMAXPROCS that results. That number is the one of the process's affinity when it started,
// of which the cpuset is part, or its quota of CPU time if that is less. The quota is rounded
// up to a whole number of 2 or more. It is the smallest on the path from the cgroup to the
// root that is visible, of cgroup version 1 or 2. A cgroup that no mount shows, such as one
// outside the cgroup namespace, counts as one without a quota.
//
// Set never raises GOMAXPROCS, and does nothing if the environment variable GOMAXPROCS is
// set. The runtime of Go 1.25 and later looks at the quota itself, if the go.mod of the main
// module names such a version, but not at the quotas of outer cgroups. Where those do not
// matter, Set changes nothing there, and the runtime goes on to follow changes of the quota.
// What Set has lowered stays.
func Set() (int, error) {
	if n, err := strconv.Atoi(os.Getenv("GOMAXPROCS")); err == nil && n > 0 {
		return runtime.GOMAXPROCS(0), nil
	}
	quota, err := cpuQuota(os.DirFS("/"))
	if err != nil {
		return runtime.GOMAXPROCS(0), err
	}
	// After a call that sets GOMAXPROCS, the runtime follows no changes any more.
	if want := procs(runtime.NumCPU(), quota); want < runtime.GOMAXPROCS(0) {
		runtime.GOMAXPROCS(want)
	}
	return runtime.GOMAXPROCS(0), nil
}

// procs rounds as the runtime of Go 1.25 does.
func procs(cpus int, quota float64) int {
	if limit := math.Max(2, math.Ceil(quota)); limit < float64(cpus) {
		return int(limit)
	}
	return cpus
}

// cpuQuota returns the CPU time that this process may use in seconds a second, +Inf without
// a quota. The argument is the root directory.
func cpuQuota(root fs.FS) (float64, error) {
	cgroup, version, err := cpuCgroup(root)
	if err != nil || version == 0 {
		return math.Inf(1), err
	}
	mount, err := cgroupMount(root, cgroup, version)
	if err != nil || mount == nil {
		return math.Inf(1), err
	}
	inside, _ := mount.inside(cgroup)
	quota := math.Inf(1)
	for ; ; inside = path.Dir(inside) {
		own, err := quotaOf(root, mount.directory(inside), version)
		if err != nil {
			return math.Inf(1), err
		}
		quota = math.Min(quota, own)
		if inside == "/" {
			return quota, nil
		}
	}
}

// cpuCgroup returns the cgroup whose quota counts, and the version of its hierarchy, 0
// without one.
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

// mountPoint says which part of a cgroup hierarchy is mounted where.
type mountPoint struct {
	root, point string
}

// inside returns the path of a cgroup below the mount, if the mount shows it. What is outside
// of the cgroup namespace begins with "/..".
func (m *mountPoint) inside(cgroup string) (string, bool) {
	isOutside := func(name string) bool { return strings.HasPrefix(name+"/", "/../") }
	if isOutside(cgroup) || isOutside(m.root) {
		return "", false
	}
	below := strings.TrimPrefix(cgroup, strings.TrimSuffix(m.root, "/"))
	if m.root != "/" && below == cgroup || below != "" && below[0] != '/' {
		return "", false
	}
	return path.Clean("/" + below), true
}

// directory returns that of a cgroup, by its path below the mount.
func (m *mountPoint) directory(inside string) string { return path.Join(m.point, inside)[1:] }

// cgroupMount returns the mount of the hierarchy that shows the cgroup, and of several the one
// that shows the most of those above it. It returns nil if none does.
func cgroupMount(root fs.FS, cgroup string, version int) (*mountPoint, error) {
	text, err := readIfThere(root, "proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found *mountPoint
	for _, line := range strings.Split(text, "\n") {
		mount, source, _ := strings.Cut(line, " - ")
		// The source may be empty, and that is a field too.
		left, right := strings.Split(mount, " "), strings.Split(source, " ")
		if len(left) < 5 || len(right) < 3 {
			continue
		}
		if version == 2 && right[0] != "cgroup2" ||
			version == 1 && (right[0] != "cgroup" || !listed(right[2], "cpu")) {
			continue
		}
		m := &mountPoint{unescape(left[3]), unescape(left[4])}
		inside, ok := m.inside(cgroup)
		if !ok || found != nil && len(found.root) <= len(m.root) {
			continue
		}
		// Each cgroup has the file. Something else may be mounted above the hierarchy.
		if _, err := fs.Stat(root, path.Join(m.directory(inside), "cgroup.procs")); err == nil {
			found = m
		}
	}
	return found, nil
}

// unescape replaces the escape sequences of mountinfo, see proc(5).
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
	// The root cgroup has no such files.
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

// readIfThere returns the content of a file, or "" if there is no such file.
func readIfThere(root fs.FS, name string) (string, error) {
	text, err := fs.ReadFile(root, name)
	if os.IsNotExist(err) {
		return "", nil
	}
	return string(text), err
}
