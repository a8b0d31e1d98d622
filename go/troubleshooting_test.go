// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go_sched/gosched/internal/sys"
)

// docs/troubleshooting.md quotes each message of the packages in a block "message go", word
// for word; "[..]" there stands for any text. It quotes nothing else.
func TestGuideExplainsWhatErrorsSay(t *testing.T) {
	page, err := os.ReadFile("../docs/troubleshooting.md")
	must(t, err)
	var quoted []string
	for _, block := range regexp.MustCompile("(?s)\n```message go\n(.*?)\n```").FindAllSubmatch(page, -1) {
		quoted = append(quoted, strings.Split(string(block[1]), "\n")...)
	}

	_, noHint := (&Scheduler{kind: SchedSetattr}).Bind()
	_, noPeriod := (&Role{}).RealtimeLoop(context.Background(), Loop{}, nil)
	set, fair := setRequest(4711, 50), setRequest(4711, 40)
	messages := []error{
		ErrUnsupported,
		elsewhereFailure(Device.String(), "darwin"),
		procFailure(),
		openFailure(syscall.ENOENT, Path),
		openFailure(syscall.EACCES, "/dev/null"),
		nodevFailure(syscall.EACCES),
		openFailure(syscall.ENXIO, "/dev/null"),
		openFailure(syscall.EPERM, Path),
		openFailure(syscall.ENOMEM, Path),
		noVersionFailure(syscall.EPERM),
		notTheDeviceFailure(syscall.ENOTTY),
		readFailure("/proc/4711/stat", syscall.EMFILE),
		readFailure("/proc/4711/stat", syscall.ENFILE),
		readFailure("/proc/4711/stat", syscall.EACCES),
		readFailure("/proc/4711/stat", errors.New("it has no start time")),
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
		(*Children)(nil).UnmarshalText([]byte("sideways")),
		errorOf(Open(Backend(7))),
		(&Scheduler{}).Set(0, 8, Children(0x80)),
		errorOf(thread(-1)),
		noPeriod,
		set.failed(syscall.ESRCH, ""),
		getRequest(4711).failed(syscall.ESRCH, ""),
		clearRequest(4711).failed(syscall.ESRCH, ""),
		followRequest(4711).failed(syscall.ESRCH, ""),
		set.failed(syscall.EPERM, notPermitted),
		set.failed(syscall.EPERM, set.permission(32, 0)),
		fair.failed(syscall.EPERM, fair.permission(50, 0)),
		set.bySyscall(syscall.EPERM),
		set.failed(syscall.EPERM, setattrPermission),
		set.failed(syscall.EBUSY, ""),
		goPriorityFailure(set, 24),
		set.failed(syscall.EOPNOTSUPP, ""),
		set.failed(syscall.ENOSYS, ""),
		noOverlayFailure(),
		otherOverlayFailure(2),
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
		errors.New("httprole: a request has no priority of its own: "),
		errors.New("maxprocs: GOMAXPROCS stays 8: open proc/self/cgroup: permission denied"),
		errors.New("maxprocs: GOMAXPROCS stays 8: the quota of /sys/fs/cgroup/db: "),
		errors.New("maxprocs: GOMAXPROCS stays 8: the quota's period of /sys/fs/cgroup/db: "),
		errors.New("tracefile: /dev/null is there, and is no ordinary file: it is not replaced"),
		errors.New("tracefile: \"\" names no file"),
		errors.New("tracefile: cannot write a trace to /srv/trace.out: permission denied"),
		errors.New("tracefile: cannot begin a trace: tracing is already enabled"),
		errors.New("tracefile: cannot begin a flight recorder: flight recorder already enabled"),
		errors.New("tracefile: the trace is not at /srv/trace.out: no space left on device"),
		fmt.Errorf("tracefile: a flight recorder takes Go 1.25, and the program was built with go1.24.9: %w", ErrUnsupported),
	}
	for _, format := range formats(t) {
		made := false
		for _, message := range messages {
			made = made || format.MatchString(message.Error())
		}
		if !made {
			t.Errorf("the messages above have none of the form %v", format)
		}
	}
	for _, message := range messages {
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

// formats returns what the messages of the packages look like, from the calls that make them.
func formats(t *testing.T) []*regexp.Regexp {
	t.Helper()
	// The number of the argument that is the format.
	makers := map[string]int{"refused": 1, "unsupported": 1, "New": 0, "Errorf": 0, "Print": 0, "Printf": 0}
	verb := regexp.MustCompile(`%#?(\\\[1\\\])?[a-z]`)
	var found []*regexp.Regexp
	add := func(format ast.Expr) {
		if text, ok := literal(format); ok {
			found = append(found, regexp.MustCompile(verb.ReplaceAllString(regexp.QuoteMeta(text), ".*")))
		}
	}
	for _, pattern := range []string{"*.go", "httprole/*.go", "maxprocs/*.go", "tracefile/*.go"} {
		files, err := filepath.Glob(pattern)
		must(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			must(t, err)
			ast.Inspect(parsed, func(node ast.Node) bool {
				switch node := node.(type) {
				case *ast.CallExpr:
					name, _ := node.Fun.(*ast.Ident)
					if selector, ok := node.Fun.(*ast.SelectorExpr); ok {
						name = selector.Sel
					}
					if name != nil {
						if at, ok := makers[name.Name]; ok && at < len(node.Args) {
							add(node.Args[at])
						}
					}
				case *ast.CompositeLit:
					if name, ok := node.Type.(*ast.Ident); ok && name.Name == "request" && len(node.Elts) > 0 {
						add(node.Elts[0])
					}
				}
				return true
			})
		}
	}
	if len(found) < 40 {
		t.Errorf("only %d formats were found", len(found))
	}
	return found
}

// literal returns the text of a string that is written out, in one piece or several.
func literal(expression ast.Expr) (string, bool) {
	switch e := expression.(type) {
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		left, isText := literal(e.X)
		right, isTextToo := literal(e.Y)
		return left + right, isText && isTextToo
	}
	return "", false
}
