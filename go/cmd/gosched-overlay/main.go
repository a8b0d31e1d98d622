// SPDX-License-Identifier: MIT OR GPL-2.0

// Command gosched-overlay makes an overlay for the go command that gives goroutines priorities.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"go_sched/gosched/internal/overlay"
)

const usage = `Usage: go build -overlay "$(gosched-overlay)" ./...

Makes an overlay of Go's runtime in which goroutines have priorities, for the Go that the go
command uses in this folder, and prints the path of its overlay.json. The same works with go
run, go test and go install, and for all of them by

  export GOFLAGS="-overlay=$(gosched-overlay)"

The Go installation is not changed. A program finds out by gosched.Overlay() whether it was
built so. Another Go needs an overlay of its own: run this again.

Options:
  -go COMMAND  the go command to ask (default "go")
  -o DIR       the folder to write to (default %s)
  -list        print what would be inserted where, and write nothing
  -json        with -list: as JSON
  -h, -help    print this

Exit status: 0, or 1 if nothing was made, or 2 for a wrong option. If nothing was made, the path
is one that does not exist, so that the go command fails too.
`

// noOverlay is printed in place of the path if nothing was made. The go command takes an empty
// -overlay for none, and does not see how "$(gosched-overlay)" ended: with this it fails.
const noOverlay = "/gosched-overlay/has/failed"

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	folder := ""
	cache, noCache := os.UserCacheDir()
	if noCache == nil {
		folder = filepath.Join(cache, "gosched-overlay")
	}
	flags := flag.NewFlagSet("gosched-overlay", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	command := flags.String("go", "go", "")
	flags.StringVar(&folder, "o", folder, "")
	list := flags.Bool("list", false, "")
	asJSON := flags.Bool("json", false, "")
	err := flags.Parse(args)
	if err == flag.ErrHelp {
		fmt.Fprintf(stdout, usage, folder)
		return 0
	}
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("%q is one argument too many", flags.Arg(0))
	}
	if err == nil && *asJSON && !*list {
		err = fmt.Errorf("-json goes with -list")
	}
	if err == nil && folder == "" && !*list {
		err = fmt.Errorf("there is no folder for caches: %v: give one with -o", noCache)
	}
	status := 0
	if err != nil {
		fmt.Fprintf(stderr, "gosched-overlay: %v; see gosched-overlay -help\n", err)
		status = 2
	} else if err := make(*command, folder, *list, *asJSON, stdout); err != nil {
		fmt.Fprintf(stderr, "gosched-overlay: %v\n", err)
		status = 1
	}
	if status != 0 && !*list {
		fmt.Fprintln(stdout, noOverlay)
	}
	return status
}

func make(command, folder string, list, asJSON bool, stdout io.Writer) error {
	found, err := overlay.Find(command)
	if err != nil {
		return err
	}
	o, err := overlay.Make(found)
	if err != nil {
		return err
	}
	switch {
	case asJSON:
		out := json.NewEncoder(stdout)
		out.SetIndent("", "  ")
		return out.Encode(o.Edits)
	case list:
		table := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
		for _, e := range o.Edits {
			fmt.Fprintf(table, "%s:%d\t%s\t%s\n", e.File, e.Line, e.Place, e.Text)
		}
		return table.Flush()
	}
	path, err := o.Write(folder)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, path)
	return err
}
