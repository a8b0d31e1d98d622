// SPDX-License-Identifier: GPL-2.0

//! Tests of what `make install` puts into a system, and `make uninstall` takes out of it.

mod common;

use std::env;
use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::symlink;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::LIMIT;
use snapbox::cmd::Command;

const SCRIPT: &str = "../../scripts/install";
const COMMAND: &str = env!("CARGO_BIN_EXE_gosched");

/// Calls the script; `root` is the root directory that it fills.
fn run(root: &Path, arguments: &[&str]) -> bool {
    run_with("/usr", root, arguments)
}

/// Does the same, with another prefix.
fn run_with(prefix: &str, root: &Path, arguments: &[&str]) -> bool {
    let done = Command::new(SCRIPT)
        .args(arguments)
        .env("DESTDIR", root)
        .env("PREFIX", prefix)
        .timeout(LIMIT)
        .output();
    done.expect("the script").status.success()
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

#[test]
fn what_an_earlier_install_has_left_can_be_removed() {
    let root = tempfile::tempdir().expect("a folder");
    let root = root.path();
    let module = root.join("module.ko");
    fs::write(&module, "").expect("room");
    let module = module.to_str().expect("UTF-8");
    let installed = |release| root.join(format!("lib/modules/{release}/updates/module.ko"));
    let (list, page) = (
        root.join("usr/share/doc/gosched/installed-files"),
        root.join("usr/share/doc/gosched/old.md"),
    );
    assert!(run(root, &[COMMAND, module, "6.12.0"]));
    // An earlier version had a page that is gone.
    let files = fs::read_to_string(&list).expect("the list") + "/usr/share/doc/gosched/old.md\n";
    fs::write(&list, files).expect("room");
    fs::write(&page, "").expect("room");

    assert!(run(root, &[COMMAND, module, "6.12.1"]));
    assert!(run(root, &[COMMAND]));
    assert!(installed("6.12.0").exists() && installed("6.12.1").exists());
    assert!(!page.exists());

    assert!(run(root, &["--remove"]));
    assert!(!root.join("lib").exists() && !root.join("usr").exists());
}

#[test]
fn what_was_just_installed_stays_by_whatever_path_it_was_before() {
    let root = tempfile::tempdir().expect("a folder");
    let root = root.path();
    symlink("usr", root.join("link")).expect("room");
    for prefix in ["/usr", "/usr/", "/link", "/usr"] {
        assert!(run_with(prefix, root, &[COMMAND]), "{prefix}");
        assert!(root.join("usr/bin/gosched").exists(), "{prefix}");
    }
    assert!(run(root, &["--remove"]));
    assert!(!root.join("usr").exists());
}

#[test]
fn removal_has_modprobe_forget_the_module() {
    let work = tempfile::tempdir().expect("a folder");
    let work = work.path();
    let list = work.join("share/doc/gosched/installed-files");
    fs::create_dir_all(list.parent().expect("a folder")).expect("room");
    // Nobody has such a kernel.
    fs::write(list, "/lib/modules/0.0.0-none/updates/module.ko\n").expect("room");
    let depmod = work.join("depmod");
    fs::write(&depmod, "#!/bin/sh\necho \"$@\" >>\"$0.log\"\n").expect("room");
    fs::set_permissions(&depmod, Permissions::from_mode(0o755)).expect("the owner");
    let path = env::var("PATH").expect("a path");
    let removed = Command::new(SCRIPT)
        .arg("--remove")
        .env_remove("DESTDIR")
        .env("PREFIX", work)
        .env("PATH", format!("{}:{path}", work.display()))
        .timeout(LIMIT)
        .output();
    assert!(removed.expect("the script").status.success());
    let log = fs::read_to_string(work.join("depmod.log")).expect("depmod was run");
    assert_eq!(log, "0.0.0-none\n");
}
