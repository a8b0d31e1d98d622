// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package overlay

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// deadline is what a program of these tests has: far more than it needs, as one that has lost a
// goroutine does not end.
const deadline = time.Minute

// builds has what was built, which tests share.
var builds struct {
	sync.Mutex
	folder  string
	overlay string
	built   map[string]error
}

func TestMain(m *testing.M) {
	status := m.Run()
	if builds.folder != "" {
		os.RemoveAll(builds.folder)
	}
	os.Exit(status)
}

// overlayOf returns the path of the overlay of the Go in use.
func overlayOf(t testing.TB) string {
	t.Helper()
	builds.Lock()
	defer builds.Unlock()
	if builds.folder == "" {
		folder, err := os.MkdirTemp("", "gosched-overlay-test-")
		must(t, err)
		builds.folder = folder
		builds.built = map[string]error{}
	}
	if builds.overlay == "" {
		path, err := made(t).Write(filepath.Join(builds.folder, "overlay"))
		must(t, err)
		builds.overlay = path
	}
	return builds.overlay
}

// goCommand is a go command that builds for this system, without the libraries of C unless the
// environment has it otherwise.
func goCommand(env []string, args ...string) *exec.Cmd {
	command := exec.Command("go", args...)
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	command.Env = append(command.Env, env...)
	return command
}

// build builds a program of testdata with the overlay, once for each kind, and returns its path.
func build(t testing.TB, program, kind string, env []string, flags ...string) string {
	t.Helper()
	overlay := overlayOf(t)
	path := filepath.Join(builds.folder, strings.ReplaceAll(program, "/", "-")+"-"+kind)
	// One at a time: each uses all CPUs.
	builds.Lock()
	defer builds.Unlock()
	failure, ok := builds.built[path]
	if !ok {
		args := append([]string{"build", "-overlay", overlay, "-o", path}, flags...)
		out, err := goCommand(env, append(args, "./testdata/"+program)...).CombinedOutput()
		if err != nil {
			failure = errors.New(err.Error() + "\n" + string(out))
		}
		builds.built[path] = failure
	}
	must(t, failure)
	return path
}

// needC skips a test where there is no C compiler, and returns the environment that uses it.
func needC(t testing.TB) []string {
	t.Helper()
	out, err := exec.Command("go", "env", "CC").Output()
	must(t, err)
	compiler := strings.Fields(string(out))
	if len(compiler) == 0 {
		t.Skip("needs a C compiler, and go env names none")
	}
	if _, err := exec.LookPath(compiler[0]); err != nil {
		t.Skip("needs a C compiler: ", err)
	}
	return []string{"CGO_ENABLED=1"}
}

// output runs a program, and returns what it prints and whether it has succeeded. After the
// deadline the program says where its goroutines are.
func output(t testing.TB, env []string, path string, args ...string) (string, error) {
	t.Helper()
	command := exec.Command(path, args...)
	command.Env = append(os.Environ(), "GOTRACEBACK=all")
	command.Env = append(command.Env, env...)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	must(t, command.Start())
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	select {
	case err := <-ended:
		return out.String(), err
	case <-time.After(deadline):
	}
	must(t, command.Process.Signal(syscall.SIGQUIT))
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		must(t, command.Process.Kill())
		<-ended
	}
	return out.String(), errors.New("it has not ended within " + deadline.String())
}

// succeed runs a program that prints "done" if all went well.
func succeed(t testing.TB, env []string, path string, args ...string) {
	t.Helper()
	if out, err := output(t, env, path, args...); err != nil || !strings.HasSuffix(out, "done\n") {
		t.Errorf("%s %v: %v\n%s", filepath.Base(path), args, err, tail(out))
	}
}

// tail keeps a log readable.
func tail(text string) string {
	const most = 20_000
	if len(text) > most {
		return text[:most/2] + "\n...\n" + text[len(text)-most/2:]
	}
	return text
}

// skipUnlessTried skips a test of what is tried on some architectures alone.
func skipUnlessTried(t testing.TB) {
	t.Helper()
	if runtime.GOARCH != "amd64" && runtime.GOARCH != "arm64" {
		t.Skip("not tried on ", runtime.GOARCH)
	}
}
