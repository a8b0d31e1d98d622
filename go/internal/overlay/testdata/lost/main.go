// SPDX-License-Identifier: MIT OR GPL-2.0

// Command lost has lowered goroutines do one thing, named by the argument. It ends if none of
// them was lost on the way, and if no P counts at the end.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"go_sched/gosched"
)

// low is the priority of who is lowered.
const low = 8

var scenarios = map[string]func(){}

func main() {
	if len(os.Args) != 2 || scenarios[os.Args[1]] == nil {
		names := []string{}
		for name := range scenarios {
			names = append(names, name)
		}
		sort.Strings(names)
		for _, name := range names {
			fmt.Println(name)
		}
		return
	}
	check(gosched.Overlay())
	scenarios[os.Args[1]]()
	idle()
	fmt.Println("done")
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// group waits for goroutines.
type group struct{ sync.WaitGroup }

// start starts a goroutine with a priority.
func (w *group) start(prio gosched.Prio, work func()) {
	w.Add(1)
	check(gosched.Go(prio, func() {
		defer w.Done()
		work()
	}))
}

// lowered starts lowered goroutines, which get their numbers.
func (w *group) lowered(count int, work func(n int)) {
	for n := 0; n < count; n++ {
		n := n
		w.start(low, func() { work(n) })
	}
}

// many is more than there are Ps.
func many() int { return 4*runtime.GOMAXPROCS(0) + 3 }

var sink atomic.Uint64

// compute keeps a CPU busy for a moment, without a call that yields.
func compute(rounds int) {
	x := uint64(rounds)
	for i := 0; i < rounds*1000; i++ {
		x = x*6364136223846793005 + 1442695040888963407
	}
	sink.Add(x)
}

// during calls work until a time is over.
func during(d time.Duration, work func()) {
	for begin := time.Now(); time.Since(begin) < d; {
		work()
	}
}

// idle waits until no P counts and nobody is queued, which is to be so where no goroutine is
// lowered.
func idle() {
	_, err := gosched.SetGoroutine(gosched.None) // Random priorities lower this one too.
	check(err)
	running, queued := counts()
	for deadline := time.Now().Add(20 * time.Second); *running != 0 || *queued != 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			panic(fmt.Sprintf("%d Ps count and %d goroutines wait, and none is lowered", *running, *queued))
		}
	}
}
