// SPDX-License-Identifier: GPL-2.0

//! Builds the tests of the Go package into one program, without libraries, as the
//! guest has none.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    let package = "../../go";
    println!("cargo::rerun-if-changed={package}");
    println!("cargo::rerun-if-env-changed=PATH");
    let out = env::var_os("OUT_DIR").expect("cargo says where output goes");
    let status = Command::new("go")
        .args(["test", "-c", "-o"])
        .arg(Path::new(&out).join("gosched.test"))
        .arg(".")
        .current_dir(package)
        .env("CGO_ENABLED", "0")
        .status()
        .unwrap_or_else(|error| panic!("cannot run go: {error}; install it with \"make setup\""));
    assert!(
        status.success(),
        "the Go package's tests do not build, see above"
    );
}
