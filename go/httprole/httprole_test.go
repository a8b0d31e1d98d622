// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package httprole

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go_sched/gosched"
	"go_sched/gosched/internal/testenv"
)

func open(t testing.TB, backends ...gosched.Backend) *gosched.Scheduler {
	t.Helper()
	s, err := gosched.Open(backends...)
	if err != nil && !testenv.InGuest {
		t.Skip("needs go_sched, as the guest has it: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// serve answers with the priority that the scheduler tells of the thread that answers.
func serve(s *gosched.Scheduler, prio gosched.Prio) (http.Handler, error) {
	role, err := s.NewRole("request", prio)
	return Handler(role, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic(http.ErrAbortHandler)
		}
		status, err := s.Get(0)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		fmt.Fprint(w, status.Prio)
	})), err
}

// load sends requests from several clients at once, and compares the answers.
func load(t *testing.T, handler http.Handler, want gosched.Prio) {
	t.Helper()
	server := httptest.NewServer(handler)
	defer server.Close()
	var clients sync.WaitGroup
	for i := 0; i < 4; i++ {
		clients.Add(1)
		go func() {
			defer clients.Done()
			for i := 0; i < 10; i++ {
				// The server ends the connection, and the next request makes another one.
				if i%10 == 9 {
					if answer, err := http.Get(server.URL + "/panic"); err == nil {
						answer.Body.Close()
						t.Error("a handler that panics has answered")
					}
				}
				answer, err := http.Get(server.URL)
				if err != nil {
					t.Error(err)
					return
				}
				text, err := io.ReadAll(answer.Body)
				answer.Body.Close()
				if err != nil || string(text) != want.String() {
					t.Errorf("answered at %s, %v; want %v", text, err, want)
					return
				}
			}
		}()
	}
	clients.Wait()
}

func TestKernelRequestsAreAnsweredAtTheirPriorityUnderLoad(t *testing.T) {
	for _, backend := range []gosched.Backend{gosched.Device, gosched.SystemCall} {
		s := open(t, backend)
		// A goroutine that computes takes one of the guest's two CPUs.
		var stop atomic.Bool
		var computing sync.WaitGroup
		computing.Add(1)
		go func() {
			defer computing.Done()
			for !stop.Load() {
			}
		}()
		handler, err := serve(s, 32)
		if err != nil {
			t.Fatal(err)
		}
		load(t, handler, 32)
		stop.Store(true)
		computing.Wait()
		threads, err := open(t, gosched.Device).Threads()
		if err != nil {
			t.Fatal(err)
		}
		for _, thread := range threads {
			if thread.Status.Prio != gosched.None || thread.Source == gosched.Declared || thread.Name == "request" {
				t.Errorf("%v: %+v is left", backend, thread)
			}
		}
	}
}

func TestAnyRequestIsAnsweredWithoutPriorities(t *testing.T) {
	handler, err := serve(open(t, gosched.NoOp), 24)
	if err != nil {
		t.Fatal(err)
	}
	load(t, handler, gosched.None)
}

// A request is not lost for a priority that the kernel refuses, which is logged once.
func TestUserRequestIsAnsweredWithoutPrivilege(t *testing.T) {
	testenv.NeedGuest(t)
	var logged bytes.Buffer
	log.SetOutput(&logged)
	defer log.SetOutput(os.Stderr)
	handler, err := serve(open(t), 50)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 2; i++ {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest("GET", "/", nil))
		if answer.Body.String() != gosched.None.String() {
			t.Errorf("answered at %v", answer.Body)
		}
	}
	if text := logged.String(); strings.Count(text, "not begun") != 1 || !strings.Contains(text, "ceiling, 32") {
		t.Errorf("logged: %s", text)
	}
}

// BenchmarkHandler measures what a request costs more, by backend; see ../bench_test.go.
func BenchmarkHandler(b *testing.B) {
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	measure := func(name string, handler http.Handler) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; i < b.N; i++ {
				handler.ServeHTTP(nil, nil)
			}
		})
	}
	measure("plain", nothing)
	for _, backend := range []gosched.Backend{
		gosched.Device, gosched.SystemCall, gosched.SchedSetattr, gosched.NoOp,
	} {
		s, err := gosched.Open(backend)
		if err != nil {
			continue
		}
		role, err := s.NewRole("request", 24)
		if err != nil {
			b.Fatal(err)
		}
		measure(strings.ReplaceAll(backend.String(), "/", "_"), Handler(role, nothing))
	}
}
