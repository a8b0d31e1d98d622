// SPDX-License-Identifier: GPL-2.0

//! The kernel's deadline server that runs fair threads beside real-time ones.

use std::fs;
use std::time::Duration;

use crate::eventually;
use crate::spinner::Spinner;
use crate::CONTESTED_CPU;

/// A guard that switches off the fair server of the contested CPU. The fair server would
/// run fair threads before threads of the rt band for 5 % of the time, after a second in
/// which no fair thread could run.
#[derive(Debug)]
pub struct NoFairServer(String);

impl NoFairServer {
    /// Switches the fair server off until the guard is dropped.
    #[track_caller]
    pub fn switch_off() -> Self {
        let file = Self::file();
        let runtime_ns =
            fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        // Linux 6.12 warns where no fair thread has the server started.
        let fair = Spinner::spinning(CONTESTED_CPU);
        let before = fair.cpu_time();
        eventually("a fair thread runs", || {
            fair.cpu_time() > before + Duration::from_millis(1)
        });
        fs::write(&file, "0").expect("root may switch it off");
        Self(runtime_ns)
    }

    fn file() -> String {
        format!("/sys/kernel/debug/sched/fair_server/cpu{CONTESTED_CPU}/runtime")
    }
}

impl Drop for NoFairServer {
    fn drop(&mut self) {
        fs::write(Self::file(), &self.0).expect("root may switch it on");
    }
}
