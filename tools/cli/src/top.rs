// SPDX-License-Identifier: GPL-2.0

//! `gosched top`: priorities of threads, and the CPU time that they get.

mod batch;
mod change;
mod column;
mod draw;
#[cfg(test)]
mod drawn;
mod fit;
#[cfg(test)]
mod fixture;
mod help;
mod sample;
mod screen;
mod summary;
mod view;

use std::io;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::thread;

use signal_hook::consts::SIGTSTP;

pub(crate) use self::batch::TopJson;
use self::column::sort;
#[cfg(feature = "observe")]
pub(crate) use self::fit::cut;
#[cfg(feature = "observe")]
pub(crate) use self::sample::autogroup;
#[cfg(feature = "observe")]
pub(crate) use self::sample::tids;
use self::sample::Sampler;
use self::screen::Screen;
use crate::args::Top;
use crate::error::Error;
use crate::interrupt::Interrupt;
use crate::output::print;
use crate::output::print_json_line;
use crate::terminal::is_dumb;

pub(crate) fn top(args: &Top, json: bool) -> Result<ExitCode, Error> {
    let batch = args.batch || json;
    let on_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !batch && !on_terminal {
        return Err(Error::NoTerminal);
    }
    if !batch && is_dumb() {
        return Err(Error::DumbTerminal);
    }
    let mut sampler = Sampler::new(&args.pids)?;
    if batch {
        write_samples(args, json, &mut sampler)?;
    } else {
        Screen::new(args, Interrupt::catch_with(&[SIGTSTP])?)?.show(&mut sampler)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn write_samples(args: &Top, json: bool, sampler: &mut Sampler) -> Result<(), Error> {
    // The first update tells what has happened since this sample.
    sampler.sample(args.all)?;
    let mut left = args.iterations.map(std::num::NonZeroU32::get);
    while left != Some(0) {
        left = left.map(|left| left - 1);
        thread::sleep(args.interval.0);
        let mut sample = sampler.sample(args.all)?;
        sort(&mut sample.rows, args.sort);
        if json {
            print_json_line(&TopJson::new(&sample))?;
        } else {
            print(|out| batch::write(out, &sample))?;
        }
    }
    Ok(())
}
