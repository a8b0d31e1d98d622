// SPDX-License-Identifier: MIT OR GPL-2.0

package overlay

import (
	"go/ast"
	"strings"
)

// place is one place of Go's sources, with what is inserted there.
type place struct {
	name string
	// The file, or several of which each that there is has to have the place.
	files []string
	// The function, or the struct type; | separates the names that it has had.
	in string
	// The first release that has the place, 22 for Go 1.22. 0: all have it.
	since int
	edit  func(s *source, in ast.Node) error
}

const (
	proc     = "runtime/proc.go"
	runtime2 = "runtime/runtime2.go"
	osLinux  = "runtime/os_linux.go"
	gc       = "runtime/mgc.go"
	sweep    = "runtime/mgcsweep.go"
	others   = "runtime/stubs_nonlinux.go"
)

var mutexes = []string{"runtime/lock_futex.go", "runtime/lock_futex_tristate.go", "runtime/lock_spinbit.go"}

// places are what has to be found, all of it.
var places = []place{
	// What is kept of a goroutine, a P and a thread.
	{name: "a goroutine's priority", files: []string{runtime2}, in: "g", edit: field("lockedm", "gprio uint8")},
	{name: "a P that counts", files: []string{runtime2}, in: "p", edit: field("preempt", "lowered bool")},
	{name: "a thread's slot", files: []string{osLinux}, in: "mOS", edit: func(s *source, in ast.Node) error {
		s.insertAt(in.(*ast.StructType).Fields.Opening+1, " gprio gprioM; ")
		return nil
	}},

	// Who runs.
	{name: "a goroutine is chosen", files: []string{proc}, in: "schedule", edit: func(s *source, in ast.Node) error {
		st, err := s.inside(in, "resetspinning()")
		if err == nil {
			s.before(st, "if gprio.active { if gp = gprioPick(gp, inheritTime); gp == nil { goto top } }")
		}
		return err
	}},
	{name: "who waits, after the global queue", files: []string{proc}, in: "findRunnable", edit: func(s *source, in ast.Node) error {
		st, err := only(s, in, "if netpollinited() && ... { ... netpoll(0) ... }", func(i *ast.IfStmt) bool {
			return strings.HasPrefix(s.code(i.Cond), "netpollinited() &&") && strings.Contains(s.code(i.Body), "netpoll(0)")
		})
		if err == nil {
			s.before(st, "if gp := gprioNext(); gp != nil { return gp, false, false }")
		}
		return err
	}},
	{name: "who waits, before a P is idle", files: []string{proc}, in: "findRunnable", edit: func(s *source, in ast.Node) error {
		st, err := s.when(in, "releasep() != ")
		if err == nil {
			s.before(st, "if gp := gprioNextLocked(); gp != nil { unlock(&sched.lock); return gp, false, false }")
			err = spin(s, in, st)
		}
		return err
	}},
	{name: "who waits, after a P is idle", files: []string{proc}, in: "checkRunqsNoP", edit: func(s *source, in ast.Node) error {
		st, err := only(s, in, "if ... && !runqempty(...)", func(i *ast.IfStmt) bool {
			return strings.Contains(s.code(i.Cond), "&& !runqempty(")
		})
		if err == nil {
			s.insertAt(st.Cond.Pos(), "gprioReady() || ")
		}
		return err
	}},
	{name: "a goroutine begins to run", files: []string{proc}, in: "execute", edit: start("gogo(&gp.sched)", "gp")},
	{name: "a coroutine begins to run", files: []string{"runtime/coro.go"}, in: "coroswitch_m", since: 22, edit: start("gogo(&gnext.sched)", "gnext")},
	{name: "a coroutine has run", files: []string{"runtime/coro.go"}, in: "coroswitch_m", since: 22, edit: begin("gprioLeave()")},
	{name: "a goroutine has run", files: []string{proc}, in: "dropg", edit: begin("gprioLeave()")},
	{name: "a goroutine is put back", files: []string{proc}, in: "goschedImpl", edit: put},
	{name: "another P for who is put back", files: []string{proc}, in: "goschedImpl", since: 22, edit: wake("gp")},
	{name: "another P for who is ready", files: []string{proc}, in: "ready", edit: wake("gp")},
	{name: "another P for who is new", files: []string{proc}, in: "newproc", edit: wake("newg")},
	{name: "a goroutine starts another one", files: []string{proc}, in: "newproc1", edit: func(s *source, in ast.Node) error {
		st, err := only(s, in, "if isSystemGoroutine(newg, ...) { ... } else { ... }", func(i *ast.IfStmt) bool {
			return strings.HasPrefix(s.code(i.Cond), "isSystemGoroutine(newg,") && i.Else != nil
		})
		if err == nil {
			s.before(st, "newg.gprio = 0")
			s.insertAt(st.Else.Pos()+1, " newg.gprio = gprioChild(callergp); ")
		}
		return err
	}},

	{name: "a thread of C calls Go", files: []string{"runtime/cgocall.go"}, in: "cgocallbackg", since: 21, edit: begin("if gp := getg(); gp.m.isextra && gp.m.ncgo == 0 { gp.gprio = 0 }")},
	{name: "a thread of C leaves Go", files: []string{proc}, in: "dropm", edit: func(s *source, in ast.Node) error {
		st, err := s.statement(in, "mp.curg.preemptStop = false")
		if err == nil {
			s.before(st, "mp.curg.gprio = 0")
		}
		return err
	}},

	// System calls.
	{name: "a P that a system call has lost", files: []string{proc}, in: "retake", edit: func(s *source, in ast.Node) error {
		call, err := only(s, in, "if runqempty(...) && ...", func(c *ast.CallExpr) bool { return s.code(c.Fun) == "runqempty" })
		if err == nil {
			s.insertAt(call.Pos(), "!gprioSyscall("+s.code(call.Args[0])+") && ")
		}
		return err
	}},
	{name: "the end of a system call", files: []string{proc}, in: "exitsyscallfast|exitsyscallTryGetP", edit: condition("sched.pidle != 0", "!gprioLowered(getg().m.curg)")},
	{name: "an idle P after a system call", files: []string{proc}, in: "exitsyscall0|exitsyscallNoP", edit: condition("schedEnabled(gp)", "gprioMayRun(gp)")},
	{name: "no P after a system call", files: []string{proc}, in: "exitsyscall0|exitsyscallNoP", edit: put},

	// Ps.
	{name: "a P is handed on", files: []string{proc}, in: "handoffp", edit: parameter("gprioHandoff(%)")},
	{name: "a P is idle", files: []string{proc}, in: "pidleput", edit: parameter("gprioUncount(%)")},
	{name: "a P is gone", files: []string{proc}, in: "procresize", edit: func(s *source, in ast.Node) error {
		sel, err := only(s, in, "p.destroy()", func(e *ast.SelectorExpr) bool { return e.Sel.Name == "destroy" })
		if err == nil {
			s.insertAt(sel.Pos(), "gprioUncount("+s.code(sel.X)+"); ")
		}
		return err
	}},
	{name: "the number of Ps", files: []string{proc}, in: "procresize", edit: parameter("% = gprioProcs(%)")},
	{name: "the number of Ps stays", files: []string{proc}, in: "startTheWorldWithSema", edit: procs("gomaxprocs", "gprio.procs")},
	{name: "GOMAXPROCS as it is told", files: []string{"runtime/debug.go"}, in: "GOMAXPROCS", edit: procs("gomaxprocs", "gprio.procs")},
	{name: "GOMAXPROCS as it is measured", files: []string{"runtime/metrics.go"}, in: "initMetrics", edit: procs("gomaxprocs", "gprio.procs")},
	{name: "GOMAXPROCS by default", files: []string{"runtime/debug.go"}, in: "SetDefaultGOMAXPROCS", since: 25, edit: procs("gomaxprocs", "gprio.procs")},
	{name: "GOMAXPROCS as it follows a quota", files: []string{proc}, in: "sysmonUpdateGOMAXPROCS", since: 25, edit: procs("gomaxprocs", "gprio.procs")},
	{name: "pools have a part for each P", files: []string{"sync/pool.go"}, in: "pinSlow", edit: procs("runtime.GOMAXPROCS(0)", "runtime_gprioPs()")},

	// The garbage collector.
	{name: "GC workers by GOMAXPROCS", files: []string{gc}, in: "gcStart", edit: func(s *source, in ast.Node) error {
		call, err := only(s, in, "gcController.startCycle(...)", func(c *ast.CallExpr) bool {
			return s.code(c.Fun) == "gcController.startCycle"
		})
		if err != nil {
			return err
		}
		return procs("gomaxprocs", "gprio.procs")(s, call)
	}},
	{name: "a P for a GC worker", files: []string{proc}, in: "findRunnable", edit: func(s *source, in ast.Node) error {
		st, err := only(s, in, "if gcBlackenEnabled != 0 { ... findRunnableGCWorker ... }", func(i *ast.IfStmt) bool {
			return strings.HasPrefix(s.code(i.Cond), "gcBlackenEnabled != 0") && strings.Contains(s.code(i.Body), "findRunnableGCWorker(")
		})
		if err == nil {
			s.insertAt(st.Cond.End(), " && gprioMayMark(getg().m.p.ptr())")
		}
		return err
	}},
	{name: "a P for an idle GC worker", files: []string{proc}, in: "findRunnable", edit: func(s *source, in ast.Node) error {
		e, err := s.expression(in, "gcController.addIdleMarkWorker()")
		if err == nil {
			s.insertAt(e.Pos(), "gprioMayMark(getg().m.p.ptr()) && ")
		}
		return err
	}},
	{name: "an idle P for an idle GC worker", files: []string{proc}, in: "checkIdleGCNoP", edit: func(s *source, in ast.Node) error {
		st, err := s.when(in, "atomic.Load(&gcBlackenEnabled) == 0")
		if err == nil {
			s.insertAt(st.Cond.Pos(), "gprioFull() || ")
		}
		return err
	}},
	{name: "GC workers after a stop of the world", files: []string{proc}, in: "procresize", since: 26, edit: condition("gcBlackenEnabled != 0", "!gprio.active")},
	{name: "who an idle GC worker makes way for", files: []string{proc}, in: "pollWork", edit: begin("if gprioMarkedEnough() { return true }")},
	{name: "the work of an idle GC worker", files: []string{gc}, in: "gcBgMarkWorker", edit: func(s *source, in ast.Node) error {
		c, err := only(s, in, "case gcMarkWorkerIdleMode", func(c *ast.CaseClause) bool {
			return len(c.List) == 1 && s.code(c.List[0]) == "gcMarkWorkerIdleMode"
		})
		if err == nil {
			s.before(c.Body[0], "gprioIdleMark(true)")
			s.after(c.Body[len(c.Body)-1], "gprioIdleMark(false)")
		}
		return err
	}},

	// Threads: what they follow, and when others wait for them.
	{name: "a thread begins", files: []string{proc}, in: "mstart1", edit: func(s *source, in ast.Node) error {
		st, err := only(s, in, "if ... { acquirep(...) }", func(i *ast.IfStmt) bool {
			return strings.Contains(s.code(i.Body), "acquirep(")
		})
		if err == nil {
			s.before(st, "gprioBind()")
		}
		return err
	}},
	{name: "a thread ends", files: []string{proc}, in: "mexit", edit: func(s *source, in ast.Node) error {
		st, err := s.statement(in, "unminit()")
		if err == nil {
			s.before(st, "gprioUnbind()")
		}
		return err
	}},
	{name: "a P shall stop", files: []string{proc}, in: "preemptone", edit: func(s *source, in ast.Node) error {
		st, err := s.statement(in, "gp.preempt = true")
		if err == nil {
			s.before(st, "gprioPreempt(mp)")
		}
		return err
	}},
	{name: "a goroutine shall stop", files: []string{"runtime/preempt.go"}, in: "suspendG", edit: func(s *source, in ast.Node) error {
		st, err := s.statement(in, "casfrom_Gscanstatus(gp, _Gscanrunning, _Grunning)")
		if err == nil {
			s.before(st, "gprioRaise(gp.m)")
		}
		return err
	}},
	{name: "a GC cycle begins", files: []string{gc}, in: "gcStart", edit: begin("defer gprioLower(gprioToBase())")},
	{name: "marking ends", files: []string{gc}, in: "gcMarkDone", edit: begin("defer gprioLower(gprioToBase())")},
	{name: "who helps the GC", files: []string{"runtime/mgcmark.go"}, in: "gcAssistAlloc", edit: parameter("if gprioSpared(%) { return }")},
	{name: "a GC assist", files: []string{"runtime/mgcmark.go"}, in: "gcAssistAlloc", edit: func(s *source, in ast.Node) error {
		st, err := only(s, in, "systemstack(... gcAssistAlloc1 ...)", func(e *ast.ExprStmt) bool {
			code := s.code(e)
			return strings.HasPrefix(code, "systemstack(") && strings.Contains(code, "gcAssistAlloc1(")
		})
		if err == nil {
			s.before(st, "gprioHold()")
			s.after(st, "gprioRelease()")
		}
		return err
	}},
	{name: "a sweeper begins", files: []string{sweep}, in: "begin", edit: func(s *source, in ast.Node) error {
		st, err := only(s, in, "return sweepLocker{..., false}", func(r *ast.ReturnStmt) bool {
			return strings.HasSuffix(s.code(r), ", false}")
		})
		if err == nil {
			s.begin(in.(*ast.FuncDecl), "gprioHold()")
			s.before(st, "gprioRelease()")
		}
		return err
	}},
	{name: "a sweeper ends", files: []string{sweep}, in: "end", edit: func(s *source, in ast.Node) error {
		st, err := s.when(in, "a.state.CompareAndSwap(")
		if err == nil {
			s.insertAt(st.Body.Lbrace+1, " gprioRelease(); ")
		}
		return err
	}},
	{name: "the sweeper waits for another one", files: []string{sweep}, in: "bgsweep", edit: func(s *source, in ast.Node) error {
		st, err := only(s, in, "continue", func(*ast.BranchStmt) bool { return true })
		if err == nil {
			s.before(st, "if gprio.active { osyield() }")
		}
		return err
	}},
	{name: "the world is stopped", files: []string{proc}, in: "stopTheWorldWithSema", edit: begin("gprioHold()")},
	{name: "the world is started", files: []string{proc}, in: "startTheWorldWithSema", edit: func(s *source, in ast.Node) error {
		st, err := only(s, in, "return", func(*ast.ReturnStmt) bool { return true })
		if err == nil {
			s.before(st, "gprioRelease()")
		}
		return err
	}},
	{name: "a lock is taken", files: mutexes, in: "lock2", edit: begin("gprioHold()")},
	{name: "a lock is released", files: mutexes, in: "unlock2", edit: func(s *source, in ast.Node) error {
		s.insertAt(in.(*ast.FuncDecl).Body.Rbrace, "gprioRelease(); ")
		return nil
	}},
}

// spin has an M that is about to let its P go look for work once more after that, as one that
// spins does, in the way in which this Go has an M spin.
func spin(s *source, in, before ast.Node) error {
	st, err := only(s, in, "if !mp.spinning { ... }", func(i *ast.IfStmt) bool {
		code := s.code(i.Cond)
		return strings.HasPrefix(code, "!") && strings.HasSuffix(code, ".spinning")
	})
	if err != nil {
		return err
	}
	var body []string
	for _, b := range st.Body.List {
		body = append(body, s.code(b))
	}
	s.before(before, "if gprioSkipped() && "+s.code(st.Cond)+" { "+strings.Join(body, "; ")+" }")
	return nil
}

// field adds a field after another one.
func field(after, text string) func(*source, ast.Node) error {
	return func(s *source, in ast.Node) error {
		f, err := only(s, in, after, func(f *ast.Field) bool {
			return len(f.Names) == 1 && f.Names[0].Name == after
		})
		if err == nil {
			s.insertAt(f.Type.End(), "; "+text)
		}
		return err
	}
}

// begin adds a statement at the beginning of a function.
func begin(text string) func(*source, ast.Node) error {
	return func(s *source, in ast.Node) error {
		s.begin(in.(*ast.FuncDecl), text)
		return nil
	}
}

// parameter adds a statement at the beginning of a function. % is the first parameter in it.
func parameter(text string) func(*source, ast.Node) error {
	return func(s *source, in ast.Node) error {
		f := in.(*ast.FuncDecl)
		s.begin(f, strings.ReplaceAll(text, "%", f.Type.Params.List[0].Names[0].Name))
		return nil
	}
}

// start adds what is done before an M runs a goroutine.
func start(code, gp string) func(*source, ast.Node) error {
	return func(s *source, in ast.Node) error {
		st, err := s.statement(in, code)
		if err == nil {
			s.before(st, "if gprio.active { gprioStart("+gp+") }; gprioEnterG0("+gp+")")
		}
		return err
	}
}

// put replaces the call that puts a goroutine into the global queue.
func put(s *source, in ast.Node) error {
	st, err := s.statement(in, "globrunqput(gp)")
	if err == nil {
		s.replace(st, "if gprio.active { gprioPut(gp) } else { globrunqput(gp) }")
	}
	return err
}

// wake replaces the call that wakes another P up.
func wake(gp string) func(*source, ast.Node) error {
	return func(s *source, in ast.Node) error {
		e, err := s.expression(in, "wakep()")
		if err == nil {
			s.replace(e, "if gprio.active { gprioWakep("+gp+") } else { wakep() }")
		}
		return err
	}
}

// condition adds to the condition of an if statement.
func condition(begins, and string) func(*source, ast.Node) error {
	return func(s *source, in ast.Node) error {
		st, err := s.when(in, begins)
		if err == nil {
			s.insertAt(st.Cond.Pos(), and+" && ")
		}
		return err
	}
}

// procs replaces the only use of a number of Ps.
func procs(code, by string) func(*source, ast.Node) error {
	return func(s *source, in ast.Node) error {
		e, err := s.expression(in, code)
		if err == nil {
			s.replace(e, by)
		}
		return err
	}
}
