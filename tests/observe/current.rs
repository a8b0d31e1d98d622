// SPDX-License-Identifier: GPL-2.0

//! The goroutine and the P that a thread of another process is read to have now are the thread's.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use go_sched_observe_tests::MARKED;
use gosched_observe::current::Reader;
use gosched_observe::current::State;
use gosched_observe::current::Storage;
use gosched_observe::layout::GoProgram;
use rustix::process::kill_process;
use rustix::process::Pid;
use rustix::process::Signal;

use crate::recorded::install;
use crate::recorded::LONGEST;
use crate::truth::marks;
use crate::truth::NANOSLEEP;

/// So many sleeping threads are compared.
const COMPARED: usize = 50;

/// A program that ends with the test, also when that fails.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a pid")
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid()).expect("a pid");
        kill_process(pid, signal).expect("it is not waited for yet");
    }

    /// Stops all threads. Returns the system call that each is in.
    fn stop(&self) -> HashMap<i32, String> {
        self.signal(Signal::STOP);
        let ends = Instant::now() + LONGEST;
        loop {
            assert!(Instant::now() < ends, "it does not stop");
            let tasks = fs::read_dir(format!("/proc/{}/task", self.pid()));
            let tids: Vec<i32> = tasks
                .expect("it is not waited for yet")
                .map(|task| task.expect("a thread").file_name())
                .map(|tid| tid.to_str().and_then(|tid| tid.parse().ok()))
                .collect::<Option<_>>()
                .expect("numbers");
            let of = |tid: &i32, file| {
                fs::read_to_string(format!("/proc/{}/task/{tid}/{file}", self.pid()))
                    .unwrap_or_default()
            };
            let states: HashSet<Option<char>> = tids
                .iter()
                .map(|tid| of(tid, "stat").rsplit(") ").next()?.chars().next())
                .collect();
            if states == HashSet::from([Some('T')]) {
                let syscalls = tids.iter().map(|tid| (*tid, of(tid, "syscall")));
                return syscalls.collect();
            }
        }
    }
}

/// Stops a program again and again, and compares each thread that then sleeps with what the
/// program says of it.
fn compare(reader: &mut Reader<'_>, path: &Path, name: &str) {
    let mut command = Command::new(path);
    command.args(["-sleeps", "1000000000"]);
    command.stdout(Stdio::piped());
    let mut program = Program(command.spawn().expect("it runs"));
    let layout = GoProgram::read(path).expect("a Go program").layout;
    let output = BufReader::new(program.0.stdout.take().expect("a pipe"));
    // From then on, each of the four goroutines keeps its thread.
    let lines = output.lines().take(4).map(|line| line.expect("UTF-8"));
    let marks = marks(lines);
    let mut compared = 0;
    let ends = Instant::now() + LONGEST;
    while compared < COMPARED {
        assert!(Instant::now() < ends, "{name}: {compared} threads slept");
        let syscalls = program.stop();
        let threads = reader
            .read(HashMap::from([(program.pid(), layout)]))
            .expect("it is read");
        let mut ps = HashSet::new();
        for thread in &threads {
            let syscall = &syscalls[&thread.tid];
            assert!(
                thread.p().is_none_or(|p| ps.insert(p)),
                "{name}: {threads:?}"
            );
            let Some(goroutine) = marks.get(&thread.tid) else {
                continue;
            };
            assert_eq!(thread.id(), *goroutine, "{name}: {thread:?} {syscall}");
            if syscall.starts_with(&format!("{NANOSLEEP} ")) {
                assert_eq!(thread.state(), Some(State::Syscall), "{name}: {thread:?}");
                compared += 1;
            }
        }
        program.signal(Signal::CONT);
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn each_thread_has_the_goroutine_that_a_program_says_and_its_state() {
    let mut storage = Storage::uninit();
    let mut reader = Reader::load(&mut storage).expect("a kernel with BTF");
    for program in MARKED {
        let folder = tempfile::tempdir().expect("a folder");
        let path = install(&folder, program.executable);
        compare(&mut reader, &path, program.name);
    }
}

#[test]
fn what_is_no_go_program_or_has_ended_has_no_goroutines() {
    let mut storage = Storage::uninit();
    let mut reader = Reader::load(&mut storage).expect("a kernel with BTF");
    let folder = tempfile::tempdir().expect("a folder");
    let path = install(&folder, MARKED[0].executable);
    let layout = GoProgram::read(&path).expect("a Go program").layout;
    let own = i32::try_from(std::process::id()).expect("a pid");
    for pid in [own, i32::MAX] {
        let threads = reader.read(HashMap::from([(pid, layout)]));
        assert_eq!(threads.expect("they are read"), []);
    }
    assert_eq!(reader.read(HashMap::new()).expect("none"), []);
}
