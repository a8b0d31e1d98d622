// SPDX-License-Identifier: GPL-2.0

//! Prints where the Go program of an executable keeps its goroutines.

use std::env;
use std::error::Error;
use std::path::Path;

use gosched_observe::layout::GoProgram;

fn main() -> Result<(), Box<dyn Error>> {
    for path in env::args().skip(1) {
        println!("{path}: {:?}", GoProgram::read(Path::new(&path))?);
    }
    Ok(())
}
