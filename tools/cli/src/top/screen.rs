// SPDX-License-Identifier: GPL-2.0

//! The table on a terminal.

use std::io;
use std::io::stdin;
use std::mem::ManuallyDrop;
use std::sync::mpsc::sync_channel;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use ratatui::crossterm::event;
use ratatui::crossterm::event::Event;
use ratatui::crossterm::event::KeyEventKind;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::disable_raw_mode;
use ratatui::crossterm::terminal::enable_raw_mode;
use ratatui::crossterm::terminal::EnterAlternateScreen;
use ratatui::crossterm::terminal::LeaveAlternateScreen;
use ratatui::crossterm::Command;
use ratatui::layout::Rect;
use ratatui::prelude::CrosstermBackend;
use ratatui::Terminal;
use ratatui::TerminalOptions;
use ratatui::Viewport;
use rustix::event::poll;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;
use signal_hook::consts::SIGTSTP;
use signal_hook::low_level::emulate_default_handler;

use super::change::Change;
use super::sample::Sample;
use super::sample::Sampler;
use super::view::Action;
use super::view::View;
use crate::args::Top;
use crate::error::Error;
use crate::facts::words;
use crate::interrupt::Interrupt;
use crate::output::wants_colours;
use crate::output::Screenful;
use crate::terminal::area;

/// The longest time until a signal is seen, or that the terminal has gone.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The terminal. Dropping the screen restores the terminal; ratatui does so after a panic.
pub(super) struct Screen {
    /// Never dropped: ratatui would write to standard error that the cursor cannot be shown, which
    /// waits for ever on a terminal that nobody reads.
    terminal: ManuallyDrop<Terminal<CrosstermBackend<Screenful>>>,
    area: Rect,
    events: Receiver<io::Result<Event>>,
    interrupt: Interrupt,
    interval: Duration,
    updates_left: Option<u32>,
    view: View,
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nobody is left to tell of a terminal that has gone.
        let _ = self.terminal.show_cursor();
        let _ = restore();
    }
}

impl Screen {
    pub(super) fn new(args: &Top, interrupt: Interrupt) -> io::Result<Self> {
        let area = area();
        let events = events()?;
        let options = TerminalOptions {
            viewport: Viewport::Fixed(area),
        };
        // Makes the terminal raw, and has a panic restore it.
        ratatui::try_init_with_options(options.clone())?;
        let screen = Self {
            terminal: ManuallyDrop::new(Terminal::with_options(
                CrosstermBackend::new(Screenful::default()),
                options,
            )?),
            area,
            events,
            interrupt,
            interval: args.interval.0,
            updates_left: args.iterations.map(std::num::NonZeroU32::get),
            view: View::new(args, wants_colours()),
        };
        send(EnterAlternateScreen)?;
        Ok(screen)
    }

    /// Shows samples until the user quits, or the last update is shown.
    pub(super) fn show(&mut self, sampler: &mut Sampler) -> Result<(), Error> {
        let mut sample = sampler.sample(self.view.all)?;
        let mut due = Instant::now() + self.interval;
        loop {
            self.view.sort(&mut sample.rows);
            self.draw(&sample)?;
            match self.wait(due, &sample)? {
                Action::Quit => return Ok(()),
                Action::Redraw => continue,
                Action::Change(change) => {
                    self.change(change, sampler, &mut sample);
                    continue;
                }
                Action::Sample => (),
            }
            if let Some(left) = &mut self.updates_left {
                *left -= 1;
                if *left == 0 {
                    return Ok(());
                }
            }
            sample = sampler.sample(self.view.all)?;
            due = Instant::now() + self.interval;
        }
    }

    fn draw(&mut self, sample: &Sample) -> io::Result<()> {
        let area = area();
        if area != self.area {
            self.area = area;
            self.terminal.resize(area)?;
        }
        self.terminal.draw(|frame| self.view.draw(frame, sample))?;
        Ok(())
    }

    /// Changes the selected thread, and shows the result or the error.
    fn change(&mut self, change: Change, sampler: &Sampler, sample: &mut Sample) {
        let selected = self.view.selected;
        let row = sample
            .rows
            .iter_mut()
            .find(|row| Some(row.id()) == selected);
        self.view.message = Some(match row {
            None => "no thread is selected: choose one with up and down".to_owned(),
            Some(row) => match change.apply(&sampler.device, row) {
                Ok(facts) => {
                    row.facts = facts;
                    let prio = words(facts.status.prio);
                    format!("pid {}'s new Go priority: {prio}", row.tid)
                }
                Err(error) => Error::of_thread(row.tid, error).to_string(),
            },
        });
    }

    /// Waits for a key, a signal, or the time of the next sample.
    fn wait(&mut self, due: Instant, sample: &Sample) -> io::Result<Action> {
        loop {
            match self.interrupt.wait(Duration::ZERO)? {
                Some(SIGTSTP) => {
                    self.stop()?;
                    return Ok(Action::Redraw);
                }
                Some(_) => return Ok(Action::Quit),
                None if has_hung_up()? => return Ok(Action::Quit),
                None => (),
            }
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Action::Sample);
            }
            return Ok(match self.events.recv_timeout(left.min(LOOK_EVERY)) {
                Ok(event) => match event? {
                    Event::Key(key) if key.kind == KeyEventKind::Press => {
                        self.view.press(key, sample)
                    }
                    _ => Action::Redraw,
                },
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => Action::Quit,
            });
        }
    }

    /// Stops this process with the terminal as it was before, and takes the terminal back
    /// once the process goes on.
    fn stop(&mut self) -> io::Result<()> {
        self.terminal.show_cursor()?;
        restore()?;
        emulate_default_handler(SIGTSTP)?;
        enable_raw_mode()?;
        send(EnterAlternateScreen)?;
        self.terminal.clear()
    }
}

/// Sends a command to the terminal.
fn send(command: impl Command) -> io::Result<()> {
    let mut terminal = Screenful::default();
    execute!(terminal, command)
}

/// Gives the terminal back as it was.
fn restore() -> io::Result<()> {
    disable_raw_mode()?;
    send(LeaveAlternateScreen)
}

/// Has a thread of its own read keys and changes of size. crossterm does not return from
/// a terminal that has gone, nor from a key of which only a part has come.
fn events() -> io::Result<Receiver<io::Result<Event>>> {
    let (sender, events) = sync_channel(0);
    thread::Builder::new().spawn(move || while sender.send(event::read()).is_ok() {})?;
    Ok(events)
}

/// Returns whether the terminal has gone, of which SIGHUP tells only the session it belongs to.
fn has_hung_up() -> io::Result<bool> {
    let input = stdin();
    let mut input = [PollFd::new(&input, PollFlags::empty())];
    match poll(&mut input, Some(&Timespec::default())) {
        Ok(_) | Err(Errno::INTR) => (),
        Err(errno) => return Err(errno.into()),
    }
    let [input] = input;
    Ok(input.revents().contains(PollFlags::HUP))
}
