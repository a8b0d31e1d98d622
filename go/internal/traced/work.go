// SPDX-License-Identifier: MIT OR GPL-2.0

//go:build linux

package main

import (
	"context"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/trace"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// workOfAFew does a little of each kind that needs few goroutines, and one after the other.
func workOfAFew() {
	waits()
	annotations()
	coroutines()
	procs()
	// The collector begins at 4 MiB. runtime.GC() would fill the trace, as it yields in a loop.
	for i := 0; i < 5; i++ {
		kept.Store([][]byte{make([]byte, 1<<20)})
	}
}

// waits waits for a goroutine, in a system call and for time.
func waits() {
	done := make(chan int)
	go send(done)
	<-done
	var now syscall.Timespec
	syscall.Nanosleep(&syscall.Timespec{Nsec: 1000}, &now)
	time.Sleep(time.Microsecond)
}

func send(to chan<- int) {
	runtime.Gosched()
	to <- 1
}

// workOfAllKinds does all kinds of work at a time.
func workOfAllKinds() {
	var all sync.WaitGroup
	for _, work := range []func(){
		channels, locks, systemCalls, pipes, memory, timers, threads, connections, annotations,
		procs, coroutines, spin, waits,
	} {
		work := work
		all.Add(1)
		go func() {
			defer all.Done()
			work()
		}()
	}
	all.Wait()
}

func channels() {
	ping, pong := make(chan int), make(chan int)
	go func() {
		for n := range ping {
			pong <- n
		}
		close(pong)
	}()
	for i := 0; i < 50; i++ {
		ping <- i
		<-pong
	}
	close(ping)
	many := make(chan int, 4)
	for i := 0; i < 30; i++ {
		go func() { many <- 1 }()
	}
	for i := 0; i < 30; i++ {
		select {
		case <-many:
		case <-time.After(time.Minute):
		}
	}
}

func locks() {
	var lock sync.Mutex
	var all sync.WaitGroup
	total := 0
	for i := 0; i < 8; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			for j := 0; j < 20; j++ {
				lock.Lock()
				total++
				runtime.Gosched()
				lock.Unlock()
			}
		}()
	}
	all.Wait()
}

// systemCalls has short ones, and one that is so long that its P is taken.
func systemCalls() {
	for i := 0; i < 50; i++ {
		syscall.Getppid()
		var status syscall.Stat_t
		syscall.Stat("/", &status)
	}
	for _, ns := range []int64{1000, 30_000, 300_000, 3_000_000} {
		wait := syscall.NsecToTimespec(ns)
		syscall.Nanosleep(&wait, nil)
	}
}

// pipes reads from a pipe that the runtime does not wait for, so that a thread does.
func pipes() {
	var ends [2]int
	if syscall.Pipe(ends[:]) != nil {
		return
	}
	go func() {
		time.Sleep(time.Millisecond)
		syscall.Write(ends[1], []byte{1})
		syscall.Close(ends[1])
	}()
	var one [1]byte
	syscall.Read(ends[0], one[:])
	syscall.Close(ends[0])
	if f, err := os.Open("/proc/self/stat"); err == nil {
		io.Copy(io.Discard, f)
		f.Close()
	}
}

var kept atomic.Value

func memory() {
	var parts [][]byte
	for i := 0; i < 200; i++ {
		parts = append(parts, make([]byte, 10_000))
		kept.Store(parts)
	}
	runtime.GC()
}

func timers() {
	ticker := time.NewTicker(200 * time.Microsecond)
	defer ticker.Stop()
	for i := 0; i < 5; i++ {
		<-ticker.C
	}
	fired := make(chan bool)
	time.AfterFunc(time.Microsecond, func() { fired <- true })
	<-fired
}

// threads has threads of their own goroutines, of which one ends with its goroutine.
func threads() {
	to, from := make(chan int), make(chan int)
	go func() {
		runtime.LockOSThread()
		for n := range to {
			from <- n
		}
	}()
	for i := 0; i < 5; i++ {
		to <- i
		<-from
	}
	close(to)
}

func connections() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		io.Copy(conn, conn)
		conn.Close()
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		return
	}
	defer conn.Close()
	var reply [5]byte
	for i := 0; i < 10; i++ {
		conn.Write([]byte("hello"))
		io.ReadFull(conn, reply[:])
	}
}

func annotations() {
	ctx, task := trace.NewTask(context.Background(), "a task")
	defer task.End()
	trace.WithRegion(ctx, "a region", func() { trace.Log(ctx, "a category", "a message") })
}

var procsAreChanged sync.Mutex

// procs changes how many Ps there are.
func procs() {
	procsAreChanged.Lock()
	defer procsAreChanged.Unlock()
	before := runtime.GOMAXPROCS(0)
	for _, n := range []int{1, before + 2, before} {
		runtime.GOMAXPROCS(n)
		runtime.Gosched()
	}
}

var spins int64

// spin computes for as long as it takes to be preempted.
func spin() {
	for begin := time.Now(); time.Since(begin) < 15*time.Millisecond; {
		atomic.AddInt64(&spins, 1)
	}
}
