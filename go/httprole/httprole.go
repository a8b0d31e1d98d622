// SPDX-License-Identifier: MIT OR GPL-2.0

// Package httprole answers HTTP requests at the priority of a role:
//
//	http.Handle("/", httprole.Handler(role, handler))
package httprole

import (
	"errors"
	"log"
	"net/http"
	"sync"

	"go_sched/gosched"
)

// Handler returns a handler that has another one answer each request as Role.Do runs work: on
// a thread of its own, at the role's priority. Where Do refuses, the request is answered
// without a priority, and the first such error is logged.
//
// BenchmarkHandler measures what that costs for each request. With the Device it is some 16,000
// instructions, of which 4,000 are for the name of the thread. The other backends read /proc,
// and take thirty times as long.
//
// A handler that waits keeps its thread. So a server that holds many slow requests at the same
// time has as many threads; wrap only what answers soon.
func Handler(role *gosched.Role, handler http.Handler) http.Handler {
	var first sync.Once
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := role.Do(func() { handler.ServeHTTP(w, r) })
		if err == nil {
			return
		}
		first.Do(func() { log.Print("httprole: a request has no priority of its own: ", err) })
		if errors.Is(err, gosched.ErrNotBegun) {
			handler.ServeHTTP(w, r)
		}
	})
}
