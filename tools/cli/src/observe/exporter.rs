// SPDX-License-Identifier: GPL-2.0

//! `gosched exporter`: figures of processes for Prometheus.

#[cfg(test)]
mod dashboard;
#[cfg(test)]
mod fixture;
mod ledger;
mod listener;
mod request;
mod server;
mod text;

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use gosched_observe::delay::Counter;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::thread::set_capabilities;
use rustix::thread::CapabilitySet;
use rustix::thread::CapabilitySets;
use rustix::time::ClockId;

use self::ledger::Ledger;
use self::ledger::Source;
use self::listener::Listener;
use self::request::answer;
use self::request::refuse;
use self::request::Refusal;
use self::server::Server;
use self::text::plain;
use self::text::Figures;
use self::text::Format;
use self::text::Process;
use super::record::has_ended;
use super::record::now;
use super::record::open;
use crate::args::Exporter as Arguments;
use crate::error::Error;
use crate::error::ObserveError;
use crate::interrupt::Interrupt;
use crate::output::complain;
use crate::trace::is_first_pid_namespace;

/// The time without a request for figures after which nothing is counted any more.
const IDLE: Duration = Duration::from_secs(300);

/// The time for which figures that were read are new enough: who asks more often gets them again.
const NEW: Duration = Duration::from_secs(1);

/// The time until the next try if a client cannot be taken.
const RETRY: Duration = Duration::from_secs(1);

/// Answers requests until a signal comes.
pub(crate) fn exporter(args: &Arguments) -> Result<ExitCode, Error> {
    if !is_first_pid_namespace()? {
        return Err(ObserveError::PidNamespace.into());
    }
    let mut processes = Vec::new();
    for tid in &args.pids {
        let (pid, process) = open(*tid)?;
        if processes.iter().all(|(known, _)| *known != pid) {
            processes.push((pid, process));
        }
    }
    if processes.len() > Arguments::MOST {
        return Err(ObserveError::TooManyProcesses(Arguments::MOST).into());
    }
    let mut interrupt = Interrupt::catch()?;
    let listener = Listener::open(&args.listen)
        .map_err(|error| ObserveError::Listen(args.listen.clone(), error))?;
    let mut storages: Vec<_> = processes.iter().map(|_| MaybeUninit::uninit()).collect();
    let mut watched = Vec::new();
    for ((pid, process), storage) in processes.into_iter().zip(&mut storages) {
        watched.push(Watched {
            pid,
            process: Some(process),
            counter: Counter::load(pid, storage).map_err(ObserveError::from)?,
            since: None,
            counted: Duration::ZERO,
            ledger: Ledger::default(),
        });
    }
    let has_go_sched = watched.iter().any(|of| of.counter.has_go_sched());
    let mut exporter = Exporter {
        watched,
        source: Source::open(has_go_sched),
        scraped: None,
        scrapes: 0,
    };
    drop_capabilities()?;
    complain(&format_args!("metrics are at {}", listener.url()?));
    exporter.run(Server::new(listener), &mut interrupt)?;
    Ok(ExitCode::SUCCESS)
}

/// Gives up what loading took: this process, which others talk to, can do no more than its user.
fn drop_capabilities() -> Result<(), Error> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, none).map_err(std::io::Error::from)?)
}

struct Exporter<'a> {
    watched: Vec<Watched<'a>>,
    source: Source,
    /// When figures were last asked for, and the answers; `None` if that is long ago.
    scraped: Option<(Instant, Answers)>,
    scrapes: u64,
}

impl Exporter<'_> {
    fn run(&mut self, mut server: Server, interrupt: &mut Interrupt) -> Result<(), Error> {
        loop {
            let living = self.watched.iter().filter_map(|of| of.process.as_ref());
            let mut polled = server.polled();
            polled.extend(living.map(|process| PollFd::new(process, PollFlags::IN)));
            let idle = self.scraped.as_ref();
            let idle = idle.map_or(IDLE, |(at, _)| IDLE.saturating_sub(at.elapsed()));
            let timeout = server.timeout().map_or(idle, |timeout| timeout.min(idle));
            if interrupt.wait_beside(polled, timeout)?.is_some() {
                return Ok(());
            }
            self.rest();
            if let Err(error) = server.go_on(&mut |format| self.answer(format)) {
                complain(&ObserveError::NotTaken(error));
                if interrupt.wait(RETRY)?.is_some() {
                    return Ok(());
                }
            }
        }
    }

    /// Counts nothing more of processes that have ended, as others may get their ids, and of any
    /// if nobody has asked for so long.
    fn rest(&mut self) {
        let scraped = self.scraped.as_ref();
        let is_idle = scraped.is_some_and(|(at, _)| at.elapsed() >= IDLE);
        if is_idle {
            self.scraped = None;
        }
        for of in &mut self.watched {
            if of.process.as_ref().is_some_and(has_ended) {
                of.process = None;
            }
            if is_idle || of.process.is_none() {
                of.pause();
            }
        }
    }

    /// Returns the answer with figures that are new enough.
    fn answer(&mut self, format: Format) -> Rc<str> {
        let last = self.scraped.take();
        let last = last.filter(|(at, _)| at.elapsed() < NEW);
        let last = last.unwrap_or_else(|| (Instant::now(), Answers::new(self.scrape())));
        let (_, answers) = self.scraped.insert(last);
        Rc::clone(match format {
            Format::OpenMetrics => &answers.open_metrics,
            Format::Plain => &answers.plain,
        })
    }

    /// Returns the figures of this moment. From now on, they are counted.
    fn scrape(&mut self) -> Result<String, ObserveError> {
        self.scrapes += 1;
        let mut processes = Vec::new();
        for of in &mut self.watched {
            processes.push(of.look(&mut self.source)?);
        }
        let figures = Figures {
            processes,
            scrapes: self.scrapes,
            cpu: Duration::from_nanos(now(ClockId::ProcessCPUTime).unsigned_abs()),
        };
        Ok(figures.text())
    }
}

/// The answers to requests, by form.
struct Answers {
    open_metrics: Rc<str>,
    plain: Rc<str>,
}

impl Answers {
    fn new(scraped: Result<String, ObserveError>) -> Self {
        match scraped {
            Ok(text) => Self {
                plain: answer(Format::Plain, &plain(&text)).into(),
                open_metrics: answer(Format::OpenMetrics, &text).into(),
            },
            Err(error) => {
                complain(&error);
                let answer: Rc<str> = refuse(&Refusal::unreadable(error)).into();
                Self {
                    open_metrics: Rc::clone(&answer),
                    plain: answer,
                }
            }
        }
    }
}

/// A process whose delays are counted.
struct Watched<'a> {
    pid: i32,
    /// What tells that the process has ended; `None` once that is known.
    process: Option<OwnedFd>,
    counter: Counter<'a>,
    /// Since when delays are counted, if they are.
    since: Option<Instant>,
    /// How long delays were counted before that.
    counted: Duration,
    ledger: Ledger,
}

impl Watched<'_> {
    fn resume(&mut self) -> Result<(), ObserveError> {
        self.counter.resume()?;
        self.since.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn pause(&mut self) {
        self.counter.pause();
        self.counted += self.since.take().map_or(Duration::ZERO, |at| at.elapsed());
    }

    fn look(&mut self, source: &mut Source) -> Result<Process, ObserveError> {
        let is_up = self.process.is_some();
        if is_up {
            self.resume()?;
        }
        let threads = match is_up {
            true => self.ledger.look(source, self.pid),
            false => Default::default(),
        };
        let since = self.since.map_or(Duration::ZERO, |at| at.elapsed());
        Ok(Process {
            pid: self.pid,
            is_up,
            counted: self.counted + since,
            delays: self.counter.totals()?.into_iter().collect(),
            uncounted: self.counter.unkept(),
            threads,
            module: source.counts().then_some(self.ledger.totals),
        })
    }
}
