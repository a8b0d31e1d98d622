// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Programs for other systems and architectures import the package too. (Plan 9 has no
// numbers for errors, and is left out.)
func TestPackageBuildsElsewhere(t *testing.T) {
	for _, port := range []string{
		"linux/386", "linux/arm", "linux/arm64", "linux/mips64", "linux/ppc64le", "linux/riscv64",
		"linux/s390x", "darwin/arm64", "freebsd/amd64", "windows/amd64",
	} {
		system, arch, _ := strings.Cut(port, "/")
		build := exec.Command("go", "build", ".", "./maxprocs", "./tracefile")
		build.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+arch, "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", port, err, out)
		}
	}
}
