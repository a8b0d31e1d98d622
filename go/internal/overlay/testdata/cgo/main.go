// SPDX-License-Identifier: MIT OR GPL-2.0

// Command cgo has lowered goroutines in C, and C call Go, from threads of Go and of its own.
package main

/*
#include <pthread.h>
#include <unistd.h>

extern int called(int prio);

static void *thread(void *arg)
{
	called((int)(long)arg);
	return (void *)(long)called((int)(long)arg);
}

// Calls Go from a thread of C's own, twice.
static int call_apart(int prio)
{
	pthread_t t;
	void *result = NULL;

	if (pthread_create(&t, NULL, thread, (void *)(long)prio))
		return -1;
	pthread_join(t, &result);
	return (int)(long)result;
}

static int call(int prio) { return called(prio); }
static void nap(void) { usleep(1000); }
*/
import "C"

import (
	"fmt"
	"runtime"
	"sync"

	"go_sched/gosched"
)

// called gives the goroutine a priority, if it is one, and returns the one it had.
//
//export called
func called(prio C.int) C.int {
	runtime.Gosched()
	before := gosched.Goroutine()
	if prio >= 0 {
		if _, err := gosched.SetGoroutine(gosched.Prio(prio)); err != nil {
			return -1
		}
		runtime.Gosched()
	}
	return C.int(before)
}

func main() {
	for i := 0; i < 4; i++ {
		if got := C.call_apart(8); got != C.int(gosched.None) {
			panic(fmt.Sprint("a thread of C begins at the priority ", got))
		}
	}
	var w sync.WaitGroup
	for i := 0; i < 4*runtime.GOMAXPROCS(0)+3; i++ {
		w.Add(1)
		if err := gosched.Go(8, func() {
			defer w.Done()
			for i := 0; i < 50; i++ {
				C.nap()
				if got := C.call(-1); got != 8 {
					panic(fmt.Sprint("a goroutine that C calls has the priority ", got))
				}
				C.call_apart(20)
			}
		}); err != nil {
			panic(err)
		}
	}
	w.Wait()
	C.call(8)
	if got := gosched.Goroutine(); got != 8 {
		panic(fmt.Sprint("what Go has set that C called, is now ", got))
	}
	fmt.Println("done")
}
