// SPDX-License-Identifier: GPL-2.0

//! Builds the tests of each package of the Go module into a program, without libraries,
//! as the guest has none. Builds also a program for tests of the command, with the overlay of
//! Go's runtime and without.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

/// The template by which `go list` lists the packages that have tests.
const WITH_TESTS: &str = "{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{end}}";

fn main() {
    println!("cargo::rerun-if-changed=../../go");
    println!("cargo::rerun-if-env-changed=PATH");
    let out = env::var_os("OUT_DIR").expect("cargo says where output goes");
    let overlays = Path::new(&out).join("overlays");
    let overlays = overlays.to_str().expect("OUT_DIR is UTF-8");
    let overlay = go(&["run", "./cmd/gosched-overlay", "-o", overlays]);
    let overlay = ["-overlay", overlay.trim_end()];
    let tagged = [&["-tags=guest,overlay"][..], &overlay].concat();
    let packages = go(&["list", "-tags=guest", "-f", WITH_TESTS, "./..."]);
    let builds = packages
        .lines()
        .map(|package| (package, package, &["-tags=guest"][..]))
        .chain([("go_sched/overlay", "go_sched/gosched", &tagged[..])]);
    let mut programs = String::from("&[");
    for (number, (name, package, options)) in builds.enumerate() {
        let path = Path::new(&out).join(format!("{number}.test"));
        let to = path.to_str().expect("OUT_DIR is UTF-8");
        go(&[&["test", "-c", "-o", to], options, &[package]].concat());
        write!(programs, "({name:?}, include_bytes!({path:?}) as &[u8]),")
            .expect("a String takes all");
    }
    programs.push(']');
    for (name, options) in [("plain", &[][..]), ("overlay.program", &overlay[..])] {
        let path = Path::new(&out).join(name);
        let path = path.to_str().expect("OUT_DIR is UTF-8");
        // Without symbols, as most programs are installed.
        let build = ["build", "-buildvcs=false", "-ldflags=-s -w", "-o", path];
        go(&[&build[..], options, &["./internal/lowered"]].concat());
    }
    fs::write(Path::new(&out).join("programs.rs"), programs).expect("OUT_DIR has room");
}

/// Runs the go command in the module. Returns the command's output.
fn go(arguments: &[&str]) -> String {
    let output = Command::new("go")
        .args(arguments)
        .current_dir("../../go")
        .env("CGO_ENABLED", "0")
        .output()
        .unwrap_or_else(|error| panic!("cannot run go: {error}; install it with \"make setup\""));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "go {arguments:?}: {errors}");
    String::from_utf8(output.stdout).expect("the paths are UTF-8")
}
