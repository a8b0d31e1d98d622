// SPDX-License-Identifier: GPL-2.0

//! What `make install` puts into a system, and `make uninstall` takes out of it.

use std::fs;
use std::path::Path;
use std::process::Command;

const SCRIPT: &str = "../../scripts/install";
const COMMAND: &str = env!("CARGO_BIN_EXE_gosched");

fn run(root: &Path, arguments: &[&str]) -> bool {
    let status = Command::new(SCRIPT)
        .args(arguments)
        .env("DESTDIR", root)
        .env("PREFIX", "/usr")
        .status();
    status.expect("the script").success()
}

#[test]
fn what_is_installed_can_be_removed_and_nothing_else_goes() {
    let root = tempfile::tempdir().expect("a folder");
    let (root, module) = (root.path(), root.path().join("module.ko"));
    let others = root.join("usr/share/man/man1/other.1");
    fs::create_dir_all(others.parent().expect("a folder")).expect("room");
    for file in [&module, &others] {
        fs::write(file, "").expect("room");
    }
    let module = module.to_str().expect("UTF-8");
    assert!(run(root, &[COMMAND, module, "6.12.0"]));
    let files = [
        "usr/bin/gosched",
        "usr/share/man/man1/gosched-run.1",
        "usr/share/bash-completion/completions/gosched",
        "usr/include/linux/go_sched.h",
        "usr/share/doc/gosched/troubleshooting.md",
        "usr/lib/udev/rules.d/60-go_sched.rules",
        "lib/modules/6.12.0/updates/module.ko",
    ];
    for file in files {
        assert!(root.join(file).is_file(), "{file}");
    }

    assert!(run(root, &["--remove"]));
    for file in files {
        assert!(!root.join(file).exists(), "{file}");
    }
    assert!(!root.join("lib").exists() && !root.join("usr/include").exists());
    assert!(others.exists());
    assert!(!run(root, &["--remove"]), "there is nothing left");
}
