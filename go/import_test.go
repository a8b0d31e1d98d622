// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package gosched

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A program imports the package by the documented commands, without a network.
func TestImportIsAsDocumented(t *testing.T) {
	clone, err := filepath.Abs("..")
	must(t, err)
	for _, page := range []string{"doc.go", "../docs/background.md"} {
		text, err := os.ReadFile(page)
		must(t, err)
		commands := regexp.MustCompile(`(?m)^(?://\t|\$ )(go mod edit .*)$`).FindAllSubmatch(text, -1)
		if len(commands) != 1 {
			t.Fatalf("%s has %d such lines", page, len(commands))
		}
		program := t.TempDir()
		must(t, os.WriteFile(filepath.Join(program, "main.go"), []byte(`package main

import "go_sched/gosched"

func main() {
	scheduler, err := gosched.Open(gosched.Device, gosched.SystemCall, gosched.SchedSetattr)
	if err != nil {
		panic(err)
	}
	err = scheduler.Do(32, func() { print("done") })
	if err != nil {
		panic(err)
	}
}
`), 0o666))
		edit := strings.ReplaceAll(string(commands[0][1]), "/path/to/go_sched", clone)
		script := exec.Command("sh", "-ec", "go mod init example\n"+edit+"\ngo build -o program .\n./program")
		script.Dir = program
		script.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
		if out, err := script.CombinedOutput(); err != nil || !strings.HasSuffix(string(out), "done") {
			t.Errorf("%s: %v\n%s", page, err, out)
		}
	}
}

// The Go code of the guide is that of the examples, which are run.
func TestGuideShowsTheExamples(t *testing.T) {
	indent := regexp.MustCompile(`(?m)^\t+`)
	var examples string
	for _, pattern := range []string{"example_test.go", "*/example_test.go"} {
		files, err := filepath.Glob(pattern)
		must(t, err)
		for _, file := range files {
			text, err := os.ReadFile(file)
			must(t, err)
			examples += indent.ReplaceAllString(string(text), "")
		}
	}
	pages, err := filepath.Glob("../docs/*.md")
	must(t, err)
	for _, page := range append(pages, "../README.md") {
		text, err := os.ReadFile(page)
		must(t, err)
		for _, block := range regexp.MustCompile("(?s)\n```go\n(.*?\n)```").FindAllSubmatch(text, -1) {
			if !strings.Contains(examples, indent.ReplaceAllString(string(block[1]), "")) {
				t.Errorf("%s shows what no example does:\n%s", page, block[1])
			}
		}
	}
}
