// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package sys

import (
	"fmt"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

const headerPath = "../../../uapi/go_sched.h"

// definition returns the value of a macro of the header, which it rewrites from C to Go. The
// numbers of _IO() of linux/ioctl.h have neither direction nor size.
func definition(t *testing.T, header, macro string) constant.Value {
	t.Helper()
	found := regexp.MustCompile(`(?m)^#define\s+` + macro + `\s+(.+?)\s*(?:/\*.*)?$`).FindStringSubmatch(header)
	if found == nil {
		t.Fatalf("the header does not define %s", macro)
	}
	text := regexp.MustCompile(`_IO\((\w+), (\w+)\)`).ReplaceAllString(found[1], "$1<<8 | $2")
	text = regexp.MustCompile(`\b(\d+)U\b`).ReplaceAllString(text, "$1")
	text = regexp.MustCompile(`GO_SCHED_\w+`).ReplaceAllStringFunc(text, func(name string) string {
		return definition(t, header, name).ExactString()
	})
	value, err := types.Eval(token.NewFileSet(), nil, token.NoPos, text)
	if err != nil {
		t.Fatalf("%s: %v", macro, err)
	}
	return value.Value
}

// members returns the names and the Go types of the members of a structure of the header.
// Reserved members have no name in Go.
func members(t *testing.T, header, structure string) (names, kinds []string) {
	t.Helper()
	body := regexp.MustCompile(`(?s)struct ` + structure + ` \{(.*?)\};`).FindStringSubmatch(header)
	if body == nil {
		t.Fatalf("the header does not declare struct %s", structure)
	}
	for _, member := range regexp.MustCompile(`__([us])(\d+) (\w+)(\[\d+\])?;`).FindAllStringSubmatch(body[1], -1) {
		name := strings.ReplaceAll(member[3], "_", "")
		if strings.HasPrefix(name, "reserved") {
			name = "_"
		}
		sign := map[string]string{"u": "uint", "s": "int"}[member[1]]
		names, kinds = append(names, name), append(kinds, member[4]+sign+member[2])
	}
	return names, kinds
}

// The vendored package unix of the Go toolchain has the numbers of all architectures.
func TestSystemCallsHaveTheNumbersOfEachArchitecture(t *testing.T) {
	ports, err := exec.Command("go", "tool", "dist", "list").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, port := range regexp.MustCompile(`(?m)^linux/(\w+)$`).FindAllStringSubmatch(string(ports), -1) {
		arch := port[1]
		numbers, err := os.ReadFile(filepath.Join(runtime.GOROOT(), "src/cmd/vendor/golang.org/x/sys/unix",
			"zsysnum_linux_"+arch+".go"))
		if err != nil {
			t.Fatal(err)
		}
		for name, number := range map[string]uintptr{
			"SETATTR": schedSetattrNumbers[arch], "GETATTR": schedSetattrNumbers[arch] + 1,
		} {
			line := fmt.Sprintf(`SYS_SCHED_%s\s+= %d\n`, name, number)
			if !regexp.MustCompile(line).Match(numbers) {
				t.Errorf("%s: %s is not %d", arch, name, number)
			}
		}
	}
}

func TestABIIsThatOfTheHeader(t *testing.T) {
	compareABI(t, "abi.go", read(t, "abi.go"))
}

func TestABIOfTheOverlayIsThatOfTheHeader(t *testing.T) {
	const path = "../overlay/runtime/abi.go.in"
	compareABI(t, path, "package runtime\n"+read(t, path))
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// compareABI compares all declarations of a file.
func compareABI(t *testing.T, path, text string) {
	t.Helper()
	header := read(t, headerPath)
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := new(types.Config).Check("sys", files, []*ast.File{file}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, declaration := range file.Decls {
		general := declaration.(*ast.GenDecl)
		for _, spec := range general.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				name, macro := spec.Names[0].Name, strings.TrimSpace(spec.Comment.Text())
				value := ours.Scope().Lookup(name).(*types.Const).Val()
				if want := definition(t, header, macro); !constant.Compare(value, token.EQL, want) {
					t.Errorf("%s is %v, and %s is %v", name, value, macro, want)
				}
			case *ast.TypeSpec:
				words := strings.Fields(strings.TrimRight(general.Doc.Text(), ".\n"))
				structure := words[len(words)-1]
				names, kinds := members(t, header, structure)
				fields := ours.Scope().Lookup(spec.Name.Name).Type().Underlying().(*types.Struct)
				if fields.NumFields() != len(names) {
					t.Fatalf("%s has %d members, struct %s has %d", spec.Name, fields.NumFields(), structure, len(names))
				}
				for i, name := range names {
					field := fields.Field(i)
					if !strings.EqualFold(field.Name(), name) || field.Type().String() != kinds[i] {
						t.Errorf("%s: %v is not %s %s of struct %s", spec.Name, field, name, kinds[i], structure)
					}
				}
			}
		}
	}
}
