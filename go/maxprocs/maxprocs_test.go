// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package maxprocs

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"go_sched/gosched/internal/testenv"
)

// files makes a root directory of names and contents. Each folder with a quota, which is a
// cgroup, has the file that all cgroups have.
func files(pairs ...string) fstest.MapFS {
	root := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		root[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
		if dir, name := path.Split(pairs[i]); strings.HasPrefix(name, "cpu.") {
			root[dir+"cgroup.procs"] = &fstest.MapFile{}
		}
	}
	return root
}

const (
	v2Mount = "25 20 0:22 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n"
	v1Mount = "24 20 0:21 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n" +
		"25 20 0:22 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
)

func TestQuotaIsTheSmallestOnThePath(t *testing.T) {
	inf := math.Inf(1)
	for name, test := range map[string]struct {
		root fstest.MapFS
		want float64
	}{
		"no cgroups": {files(), inf},
		"none mounted": {files(
			"proc/self/cgroup", "0::/a\n"), inf},
		"no quota": {files(
			"proc/self/cgroup", "0::/a/b\n", "proc/self/mountinfo", v2Mount,
			"sys/fs/cgroup/a/cpu.max", "max 100000\n",
			"sys/fs/cgroup/a/b/cpu.max", "max 100000\n"), inf},
		"of the leaf": {files(
			"proc/self/cgroup", "0::/a/b\n", "proc/self/mountinfo", v2Mount,
			"sys/fs/cgroup/a/cpu.max", "400000 100000\n",
			"sys/fs/cgroup/a/b/cpu.max", "250000 100000\n"), 2.5},
		"of a parent": {files(
			"proc/self/cgroup", "0::/a/b\n", "proc/self/mountinfo", v2Mount,
			"sys/fs/cgroup/a/cpu.max", "30000 20000\n",
			"sys/fs/cgroup/a/b/cpu.max", "250000 100000\n"), 1.5},
		"in a container": {files(
			"proc/self/cgroup", "0::/\n", "proc/self/mountinfo", v2Mount,
			"sys/fs/cgroup/cpu.max", "150000 100000\n"), 1.5},
		"outside the namespace": {files(
			"proc/self/cgroup", "0::/../../x\n", "proc/self/mountinfo", v2Mount,
			"sys/fs/cgroup/cpu.max", "150000 100000\n"), inf},
		"of another cgroup, outside the namespace": {files(
			"proc/self/cgroup", "0::/../x\n", "proc/self/mountinfo", v2Mount,
			"sys/fs/cgroup/x/cpu.max", "150000 100000\n"), inf},
		"above the namespace": {files(
			"proc/self/cgroup", "0::/..\n", "proc/self/mountinfo", v2Mount,
			"sys/fs/cgroup/cpu.max", "150000 100000\n"), inf},
		"with dots in its name": {files(
			"proc/self/cgroup", "0::/..x\n", "proc/self/mountinfo", v2Mount,
			"sys/fs/cgroup/..x/cpu.max", "150000 100000\n"), 1.5},
		"mounted in another namespace": {files(
			"proc/self/cgroup", "0::/x\n",
			"proc/self/mountinfo", "25 20 0:22 /.. /cg rw - cgroup2 cgroup2 rw\n",
			"cg/x/cpu.max", "150000 100000\n"), inf},
		"beside what is mounted": {files(
			"proc/self/cgroup", "0::/docker/12\n",
			"proc/self/mountinfo", "25 20 0:22 /docker/1 /cg rw - cgroup2 cgroup2 rw\n",
			"cg/cpu.max", "150000 100000\n", "cg/2/cpu.max", "150000 100000\n"), inf},
		"covered by another mount": {files(
			"proc/self/cgroup", "0::/a/gone\n", "proc/self/mountinfo", v2Mount,
			"sys/fs/cgroup/a/cpu.max", "150000 100000\n"), inf},
		"of several mounts": {files(
			"proc/self/cgroup", "0::/a/b\n",
			"proc/self/mountinfo", "1 0 0:1 /z /else rw - cgroup2 none rw\n"+
				"2 0 0:1 /a /part rw - cgroup2 none rw\n3 0 0:1 / /whole rw - cgroup2 none rw\n",
			"else/cpu.max", "100000 100000\n", "part/b/cpu.max", "300000 100000\n",
			"whole/a/b/cpu.max", "300000 100000\n", "whole/cpu.max", "200000 100000\n"), 2},
		"mounted from no source": {files(
			"proc/self/cgroup", "0::/\n", "proc/self/mountinfo", "1 0 0:1 / /cg rw - cgroup2  rw\n",
			"cg/cpu.max", "700000 100000\n"), 7},
		"a part of the hierarchy is mounted": {files(
			"proc/self/cgroup", "0::/docker/1/app\n",
			"proc/self/mountinfo", "25 20 0:22 /docker/1 /cg rw - cgroup2 cgroup2 rw\n",
			"cg/cpu.max", "700000 100000\n",
			"cg/app/cpu.max", "max 100000\n"), 7},
		"mounted with a space": {files(
			"proc/self/cgroup", "0::/\n",
			"proc/self/mountinfo", `25 20 0:22 / /c\040g rw - cgroup2 cgroup2 rw`,
			"c g/cpu.max", "700000 100000\n"), 7},
		"version 1": {files(
			"proc/self/cgroup", "3:cpuset:/x\n2:cpu,cpuacct:/a/b\n0::/other\n",
			"proc/self/mountinfo", v1Mount,
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n",
			"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n",
			"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "300000\n",
			"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n",
			"sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n",
			"sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n"), 3},
	} {
		got, err := cpuQuota(test.root)
		if err != nil || got != test.want {
			t.Errorf("%s: got %v, %v; want %v", name, got, err, test.want)
		}
	}
	_, err := cpuQuota(files("proc/self/cgroup", "0::/\n", "proc/self/mountinfo", v2Mount,
		"sys/fs/cgroup/cpu.max", "many 100000\n"))
	if err == nil || !strings.Contains(err.Error(), "/sys/fs/cgroup") {
		t.Errorf("no error names the unreadable quota: %v", err)
	}
}

func TestProcsAreRoundedUp(t *testing.T) {
	for _, test := range []struct {
		cpus  int
		quota float64
		want  int
	}{
		{8, math.Inf(1), 8}, {8, 8, 8}, {8, 2.5, 3}, {8, 3, 3}, {8, 0.5, 2}, {1, 0.5, 1}, {4, 100, 4},
	} {
		if got := procs(test.cpus, test.quota); got != test.want {
			t.Errorf("%d CPUs, quota %v: got %d, want %d", test.cpus, test.quota, got, test.want)
		}
	}
}

func TestMain(m *testing.M) {
	testenv.Main(m, map[string]func() (string, error){"result": result})
}

// result is a child that prints the result of Set and the quota.
func result() (string, error) {
	// The init function has called Set already.
	before := runtime.GOMAXPROCS(0)
	n, err := Set()
	if err == nil && (n != before || n != runtime.GOMAXPROCS(0)) {
		err = fmt.Errorf("Set returned %d, GOMAXPROCS was %d and is %d", n, before, runtime.GOMAXPROCS(0))
	}
	if err != nil {
		return "", err
	}
	quota, err := cpuQuota(os.DirFS("/"))
	return fmt.Sprint(n, " ", quota), err
}

// child returns what the program prints after a shell command.
func child(t *testing.T, before string, environment ...string) string {
	t.Helper()
	command := exec.Command("sh", "-c", before+" exec \"$0\"", "/proc/"+strconv.Itoa(os.Getpid())+"/exe")
	command.Env = append(os.Environ(), append(environment, testenv.Call("result"))...)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func TestAnExplicitGOMAXPROCSStays(t *testing.T) {
	if got := child(t, "", "GOMAXPROCS=7"); !strings.HasPrefix(got, "7 ") {
		t.Errorf("got %s", got)
	}
}

// In the guest, which has one hierarchy and two CPUs, with cgroups of its own.
func TestRootProcsFollowTheOuterQuota(t *testing.T) {
	testenv.NeedGuest(t)
	if runtime.NumCPU() < 2 {
		t.Fatal("the guest has two CPUs")
	}
	if got := child(t, "taskset -p 1 $$ >/dev/null;"); got != "1 +Inf" {
		t.Errorf("on one CPU: got %s", got)
	}
	// Less than two is rounded up to two.
	quota := `cd /sys/fs/cgroup && echo +cpu >cgroup.subtree_control && mkdir -p go_test/inner &&
		echo +cpu >go_test/cgroup.subtree_control && echo 150000 100000 >go_test/cpu.max &&
		echo $$ >go_test/inner/cgroup.procs;`
	t.Cleanup(func() {
		os.Remove("/sys/fs/cgroup/go_test/inner")
		os.Remove("/sys/fs/cgroup/go_test")
	})
	if got := child(t, quota+" cat /proc/self/cgroup >/tmp/go_test_cgroup;"); got != "2 1.5" {
		t.Errorf("got %s", got)
	}
	cgroup, err := os.ReadFile("/tmp/go_test_cgroup")
	if err != nil || string(cgroup) != "0::/go_test/inner\n" {
		t.Errorf("the process was in %s, %v", cgroup, err)
	}
}
