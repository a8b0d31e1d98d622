// SPDX-License-Identifier: GPL-2.0

//! `gosched top` on a terminal: the screen, and the effect of keys on real threads.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::thread;

use common::child::become_user;
use common::child::Child;
use common::command::gosched;
use common::deadline::await_program;
use common::deadline::TimedReader;
use common::device::Device;
use common::device::PublicDevice;
use common::eventually;
use common::hint::HintPage;
use common::hint::HintedWorker;
use common::worker::Worker;
use common::USER;
use rustix::event::poll;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::process::kill_process;
use rustix::process::waitid;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::WaitId;
use rustix::process::WaitIdOptions;
use rustix::pty::ioctl_tiocgptpeer;
use rustix::pty::openpt;
use rustix::pty::unlockpt;
use rustix::pty::OpenptFlags;
use rustix::termios::tcflow;
use rustix::termios::tcgetattr;
use rustix::termios::tcsetwinsize;
use rustix::termios::Action;
use rustix::termios::LocalModes;
use rustix::termios::Winsize;

use crate::output::await_write_to_stdout;

/// A child process that does not outlive a test that fails, with the device open.
struct Ending(process::Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ended_before = self.0.kill();
        await_program(&mut self.0);
    }
}

/// `gosched top` on a terminal of its own.
struct OnTerminal {
    top: Ending,
    keyboard: fs::File,
    terminal: OwnedFd,
    shown: vt100::Parser,
}

fn size(columns: u16, lines: u16) -> Winsize {
    Winsize {
        ws_row: lines,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    }
}

/// Returns the text on the screen, without the blanks at the ends of its lines.
fn lines(screen: &vt100::Screen) -> String {
    let text = screen.contents();
    text.lines()
        .flat_map(|line| [line.trim_end(), "\n"])
        .collect()
}

/// The time to wait for output before a look whether the program has ended.
const MOMENT: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

impl OnTerminal {
    fn start(arguments: &[&str], size: Winsize, prepare: impl FnOnce(&mut Command)) -> Self {
        Self::start_with(&[&["-i", "0.1"], arguments].concat(), size, prepare)
    }

    fn start_with(arguments: &[&str], size: Winsize, prepare: impl FnOnce(&mut Command)) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let keyboard = openpt(flags).expect("the guest has ptys");
        unlockpt(&keyboard).expect("a new pty");
        let terminal = ioctl_tiocgptpeer(&keyboard, flags).expect("its other end");
        tcsetwinsize(&terminal, size).expect("a terminal");
        let end = || Stdio::from(terminal.try_clone().expect("a descriptor"));
        let mut command = gosched(&[&["top"], arguments].concat());
        command.env("TERM", "linux");
        prepare(&mut command);
        let top = command
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .expect("the guest has the command");
        Self {
            top: Ending(top),
            keyboard: keyboard.into(),
            terminal,
            shown: vt100::Parser::new(size.ws_row.max(24), size.ws_col.max(80), 0),
        }
    }

    /// Starts on a wide terminal, in colours, with the threads that have a Go priority.
    fn wide() -> Self {
        Self::start(&[], size(160, 24), |_| ())
    }

    fn is_raw(&self) -> bool {
        let attributes = tcgetattr(&self.terminal).expect("a terminal");
        !attributes.local_modes.contains(LocalModes::ICANON)
    }

    fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).expect("keys");
    }

    fn resize(&mut self, columns: u16, lines: u16) {
        tcsetwinsize(&self.terminal, size(columns, lines)).expect("a terminal");
        self.shown.set_size(lines, columns);
        self.signal(Signal::WINCH);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.top.0), signal).expect("it runs");
    }

    /// Waits until a signal has stopped the program, as a shell does.
    #[track_caller]
    fn await_stop(&self) {
        let top = Pid::from_child(&self.top.0);
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
        eventually("it is stopped", || {
            waitid(WaitId::Pid(top), options)
                .expect("a child")
                .is_some()
        });
    }

    /// Reads output until the screen is as `wanted`.
    #[track_caller]
    fn await_screen(&mut self, wanted: impl Fn(&vt100::Screen) -> bool) {
        let mut chunk = [0; 4096];
        let mut output = TimedReader::new(&self.keyboard);
        while !wanted(self.shown.screen()) {
            let length = output.read(&mut chunk).unwrap_or_else(|error| {
                panic!("{error}: {}", self.shown.screen().contents());
            });
            self.shown.process(&chunk[..length]);
        }
    }

    #[track_caller]
    fn await_text(&mut self, text: &str) {
        self.await_screen(|screen| lines(screen).contains(text));
    }

    /// Waits for the program to end, and checks that the terminal is as it was before.
    /// Returns the text that is left there.
    #[track_caller]
    fn await_end(&mut self, success: bool) -> String {
        let Self {
            top,
            keyboard,
            shown,
            ..
        } = self;
        // A program that draws does not end while nobody reads that.
        thread::scope(|scope| {
            let end = scope.spawn(|| await_program(&mut top.0));
            let mut chunk = [0; 4096];
            while !end.is_finished() {
                let mut readable = [PollFd::new(&*keyboard, PollFlags::IN)];
                if poll(&mut readable, Some(&MOMENT)).expect("a terminal") > 0 {
                    let length = keyboard.read(&mut chunk).expect("a terminal");
                    shown.process(&chunk[..length]);
                }
            }
            let end = end.join().expect("it has ended");
            assert_eq!(end.success(), success);
        });
        self.await_screen(|screen| !screen.alternate_screen());
        assert!(!self.is_raw());
        self.shown.screen().contents()
    }
}

#[test]
fn the_terminal_is_given_back_as_it_was() {
    for end in [None, Some(Signal::TERM), Some(Signal::HUP)] {
        let mut on = OnTerminal::wide();
        on.await_text("? help");
        assert!(on.shown.screen().alternate_screen());
        assert!(on.is_raw(), "keys come one by one");
        match end {
            None => on.press(b"q"),
            Some(signal) => on.signal(signal),
        }
        assert_eq!(on.await_end(true), "");
    }
}

#[test]
fn a_terminal_that_goes_ends_top() {
    for key_in_part in [false, true] {
        for signal in [None, Some(Signal::TERM)] {
            let mut on = OnTerminal::wide();
            on.await_text("? help");
            if key_in_part {
                on.press(b"\x1b[");
            }
            let Some(signal) = signal else {
                // No session has it as its terminal, so that no signal tells of the end.
                let OnTerminal {
                    mut top, keyboard, ..
                } = on;
                drop(keyboard);
                await_program(&mut top.0);
                continue;
            };
            on.signal(signal);
            on.await_end(true);
        }
    }
}

#[test]
fn a_terminal_that_nobody_reads_does_not_keep_top_from_its_end() {
    for (interval, draws) in [("0.1", true), ("3600", false)] {
        let mut on = OnTerminal::start_with(&["-i", interval], size(160, 24), |_| ());
        on.await_text("? help");
        // As Ctrl-S does.
        tcflow(&on.terminal, Action::OOff).expect("a terminal");
        if draws {
            await_write_to_stdout(&mut on.top.0);
        }
        on.signal(Signal::TERM);
        let OnTerminal { mut top, .. } = on;
        await_program(&mut top.0);
    }
}

#[test]
fn top_that_is_stopped_gives_the_terminal_back_until_it_goes_on() {
    let mut on = OnTerminal::wide();
    for _ in 0..2 {
        on.await_text("? help");
        on.await_screen(|screen| screen.alternate_screen());
        assert!(on.is_raw());
        on.signal(Signal::TSTP);
        on.await_screen(|screen| !screen.alternate_screen() && !screen.hide_cursor());
        // A SIGCONT that came before the stop would end nothing.
        on.await_stop();
        assert!(!on.is_raw());
        on.signal(Signal::CONT);
    }
    on.await_text("? help");
    on.press(b"q");
    on.await_end(true);
}

#[test]
fn what_is_marked_is_coloured_on_a_terminal_unless_colours_are_off() {
    let device = Arc::new(Device::open());
    let page = Arc::new(HintPage::new(&device, 1));
    let worker = HintedWorker::spawn(&device, &page, 0);
    worker.take(60, 32);
    for (no_color, expected) in [("", true), ("1", false)] {
        let mut on = OnTerminal::start(&[], size(160, 24), |command| {
            command.env("NO_COLOR", no_color);
        });
        on.await_text("? help");
        let screen = on.shown.screen();
        let cells = (0..24).flat_map(|line| (0..160).map(move |column| (line, column)));
        let mut colours = cells.filter_map(|(line, column)| screen.cell(line, column));
        let coloured = colours.any(|cell| cell.fgcolor() == vt100::Color::Idx(3));
        assert_eq!(coloured, expected, "{}", screen.contents());
        on.press(b"q");
        on.await_end(true);
    }
}

#[test]
fn a_screen_of_any_size_shows_whole_columns() {
    let device = Device::open();
    let worker = Worker::spawn();
    device.set(worker.tid(), 52);
    let own = process::id().to_string();
    let mut on = OnTerminal::start(&["-p", &own], size(200, 60), |_| ());
    let has = |id: &str, heading: &str| {
        let (id, heading) = (id.to_owned(), heading.to_owned());
        move |screen: &vt100::Screen| {
            let text = lines(screen);
            text.split_whitespace().any(|word| word == id) && text.contains(&heading)
        }
    };
    let id = worker.tid().to_string();
    on.await_screen(has(&id, " GROUP\n"));
    on.resize(40, 12);
    on.await_screen(has("52", " APPLIED"));
    on.await_screen(|screen| !screen.contents().contains("GROUP"));
    for (columns, lines) in [(10, 3), (2, 1), (200, 1), (2, 60)] {
        on.resize(columns, lines);
    }
    // More than fits in memory.
    tcsetwinsize(&on.terminal, size(u16::MAX, u16::MAX)).expect("a terminal");
    on.signal(Signal::WINCH);
    on.resize(80, 24);
    on.await_screen(has(&id, " CEILING "));
    on.press(b"q");
    on.await_end(true);
}

#[test]
fn a_terminal_that_tells_no_size_has_the_usual_one() {
    let mut on = OnTerminal::start(&[], size(0, 0), |_| ());
    on.await_text("r reverse  a all");
    on.press(b"q");
    on.await_end(true);
}

#[test]
fn a_dumb_terminal_gets_a_reason_and_no_escape_sequence() {
    let mut on = OnTerminal::start(&[], size(80, 24), |command| {
        command.env("TERM", "dumb");
    });
    on.await_text("--batch");
    let left = on.await_end(false);
    assert!(left.starts_with("gosched: top cannot draw"), "{left}");
}

#[test]
fn keys_change_the_priority_of_the_selected_thread_alone() {
    let device = Device::open();
    let [selected, other] = [(); 2].map(|()| Worker::spawn());
    device.set_inherited(selected.tid(), 50);
    device.set(other.tid(), 40);
    let own = process::id().to_string();
    let mut on = OnTerminal::start(&["-p", &own], size(100, 24), |_| ());
    on.await_text(&other.tid().to_string());

    on.press(b"+");
    on.await_text("no thread is selected: choose one with up and down");
    on.press(b"\x1b[A");
    let told = |prio: &str| format!("pid {}'s new Go priority: {prio}\n", selected.tid());
    for (keys, prio, words) in [
        (&b"+"[..], Some(51), "51 (rt)"),
        (b"-----------", Some(40), "40 (fair)"),
        (b"-", Some(39), "39 (fair)"),
        (b"c", None, "none"),
    ] {
        on.press(keys);
        on.await_text(&told(words));
        let record = device.get(selected.tid());
        assert_eq!((record.prio, record.inherit), (prio, prio.is_some()));
    }
    assert_eq!(device.prio(other.tid()), Some(40));

    // It is shown no longer, and no other is selected in its place.
    let cells = format!(" {} ", selected.tid());
    on.await_screen(|screen| !screen.contents().contains(&cells));
    on.press(b"-");
    on.await_text("no thread is selected");
    assert_eq!(device.prio(other.tid()), Some(40));
    on.press(b"q");
    on.await_end(true);
}

#[test]
fn a_change_that_is_refused_is_told_and_ends_nothing() {
    let device = Device::open();
    let _public = PublicDevice::new();
    let child = Child::sleeping(|| become_user(USER));
    device.set(child.pid(), 32);
    let id = child.pid().to_string();
    let mut on = OnTerminal::start(&["-p", &id], size(80, 24), |command| {
        command.uid(USER).gid(USER);
    });
    on.await_text(&format!(" {id} "));
    on.press(b"\x1b[B+");
    on.await_text("33 is above the thread's ceiling, 32;");
    assert_eq!(device.prio(child.pid()), Some(32));
    on.press(b"-");
    on.await_text("new Go priority: 31 (fair)");
    assert_eq!(device.prio(child.pid()), Some(31));

    drop(child);
    on.press(b"-");
    on.await_screen(|screen| !screen.contents().contains(&format!(" {id} ")));
    on.press(b"q");
    on.await_end(true);
}
