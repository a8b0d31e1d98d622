// SPDX-License-Identifier: MIT OR GPL-2.0

package tracefile_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"go_sched/gosched/tracefile"
)

// A program writes a trace of its run.
func ExampleStart() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "trace.out")
	work := func() { fmt.Println("working") }
	stop, err := tracefile.Start(path)
	if err != nil {
		log.Fatal(err)
	}
	work()
	if err := stop(); err != nil {
		log.Print(err)
	}
	// Output:
	// working
}

// A server writes the last seconds before a request that took too long.
func ExampleFlightRecorder() {
	folder, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "late.trace")
	recorder, err := tracefile.StartFlightRecorder(path, tracefile.FlightOptions{})
	if err != nil {
		log.Print(err) // The server goes on without.
	}
	defer recorder.Stop()
	answer := func(w http.ResponseWriter, r *http.Request) {
		defer recorder.Check(time.Now(), 200*time.Millisecond)
		fmt.Fprint(w, "hello")
	}
	w := httptest.NewRecorder()
	answer(w, httptest.NewRequest("GET", "/", nil))
	fmt.Println(w.Body)
	// Output:
	// hello
}
