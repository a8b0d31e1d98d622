// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package httprole_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"go_sched/gosched"
	"go_sched/gosched/httprole"
)

// Requests are answered before the rest of the program gets a CPU, if root lets it.
func ExampleHandler() {
	scheduler, err := gosched.Open(gosched.Device, gosched.SystemCall, gosched.NoOp)
	if err != nil {
		log.Fatal(err)
	}
	defer scheduler.Close()
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })
	request, err := scheduler.NewRole("request", 50)
	if err != nil {
		log.Fatal(err)
	}
	handler := httprole.Handler(request, hello)
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest("GET", "/", nil))
	fmt.Println(answer.Body)
	// Output:
	// hello
}
