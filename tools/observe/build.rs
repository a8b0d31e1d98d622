// SPDX-License-Identifier: GPL-2.0

//! Compiles the BPF programs, and makes the code that loads them.

use std::env;
use std::error::Error;
use std::path::PathBuf;

use libbpf_cargo::SkeletonBuilder;

fn main() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?);
    for program in ["record", "delay", "lag", "current"] {
        SkeletonBuilder::new()
            .source(format!("bpf/{program}.bpf.c"))
            .build_and_generate(out.join(format!("{program}.skel.rs")))?;
    }
    println!("cargo:rerun-if-changed=bpf");
    Ok(())
}
