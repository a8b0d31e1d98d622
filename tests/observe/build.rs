// SPDX-License-Identifier: GPL-2.0

//! Builds the programs that are recorded, by each go command of GO_SCHED_GOS, or by that of
//! PATH: with symbols, without, and with cgo.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=../../go");
    println!("cargo::rerun-if-env-changed=PATH");
    println!("cargo::rerun-if-env-changed=GO_SCHED_GOS");
    let gos = env::var("GO_SCHED_GOS").unwrap_or_else(|_| "go".to_owned());
    let out = env::var("OUT_DIR").expect("cargo says where output goes");
    let ways = [
        ("symbols", "0", ""),
        ("stripped", "0", "-s -w"),
        ("cgo", "1", "-linkmode=external -extldflags=-static"),
    ];
    for program in ["traced", "marked", "disturbed"] {
        let mut list = String::from("&[");
        for go in gos.split(':') {
            let version = run(go, &["env", "GOVERSION"], "0");
            let version = version.trim();
            let release = release(version);
            // Go before that writes no traces that are read.
            if program == "traced" && release < 22 {
                continue;
            }
            for (way, cgo, flags) in ways {
                let path = Path::new(&out).join(format!("{program}-{version}-{way}"));
                let to = path.to_str().expect("OUT_DIR is UTF-8");
                let flags = format!("-ldflags={flags}");
                let package = format!("./internal/{program}");
                let build = ["build", "-buildvcs=false", &flags];
                run(go, &[&build[..], &["-o", to, &package]].concat(), cgo);
                write!(
                    list,
                    "Program {{ name: \"{version}, {way}\", release: {release}, \
                     executable: include_bytes!({to:?}) }},"
                )
                .expect("a String takes all");
            }
        }
        list.push(']');
        fs::write(Path::new(&out).join(format!("{program}.rs")), list).expect("OUT_DIR has room");
    }
}

/// Returns N of Go 1.N.
fn release(version: &str) -> u32 {
    let minor = version.strip_prefix("go1.").unwrap_or_default();
    let digits = minor
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(minor.len());
    minor[..digits]
        .parse()
        .unwrap_or_else(|_| panic!("{version:?} is no release of Go"))
}

/// Runs a go command in the module. Returns the command's output.
fn run(go: &str, arguments: &[&str], cgo: &str) -> String {
    let output = Command::new(go)
        .args(arguments)
        .current_dir("../../go")
        .env("CGO_ENABLED", cgo)
        .env("GOTOOLCHAIN", "local")
        .output()
        .unwrap_or_else(|error| panic!("cannot run {go}: {error}; install it with \"make setup\""));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{go} {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("the paths are UTF-8")
}
