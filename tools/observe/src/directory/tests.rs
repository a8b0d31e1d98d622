// SPDX-License-Identifier: GPL-2.0

//! Tests of records in folders.

use zerocopy::IntoBytes;

use super::*;
use crate::event::fixture::event;
use crate::event::fixture::thread;
use crate::event::fixture::SWITCH;
use crate::summary::Timeline;

fn meta() -> Meta {
    Meta::new("6.12".to_owned(), "server".to_owned())
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).expect("a folder");
    let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    let mut names: Vec<_> = entries
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_record_takes_the_place_of_an_older_one_when_it_is_complete() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("record");
    for version in ["first", "second"] {
        let writer = Writer::create(&path, 1 << 20).expect("room");
        let mut meta = meta();
        meta.command = version.to_owned();
        let unwritten = writer.finish(&mut meta, None).expect("room");
        assert!(unwritten.events.is_none() && unwritten.go_trace.is_none());
        assert_eq!(Record::read(&path).expect("a record").meta.command, version);
    }
    drop(Writer::create(&path, 1 << 20).expect("room"));
    assert_eq!(
        Record::read(&path).expect("a record").meta.command,
        "second"
    );
    assert_eq!(names(folder.path()), ["record"]);
}

#[test]
fn a_trace_from_elsewhere_is_kept_unless_it_is_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("record");
    for trace in [None, Some(b"go".to_vec())] {
        let writer = Writer::create(&path, 1 << 20).expect("room");
        let mut file = writer.create_go_trace().expect("room");
        file.write_all(trace.as_deref().unwrap_or_default())
            .expect("room");
        writer.finish(&mut meta(), None).expect("room");
        assert_eq!(Record::read(&path).expect("a record").go_trace, trace);
    }
}

#[test]
fn what_is_no_record_is_not_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["events", "notes.txt"] {
        fs::write(folder.path().join(name), "mine").expect("room");
    }
    assert!(Writer::create(folder.path(), 1).is_err());
    fs::remove_file(folder.path().join("notes.txt")).expect("it is there");
    // Another one's file of this name.
    assert!(Writer::create(folder.path(), 1).is_err());
    assert_eq!(names(folder.path()), ["events"]);
}

#[test]
fn a_record_of_another_version_is_said_to_be_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!(
        r#"{{"version":2,"event_size":{SIZE},"endian":"{}"}}"#,
        endian()
    );
    fs::write(folder.path().join(META), text).expect("room");
    let error = Record::read(folder.path()).expect_err("another version");
    assert!(matches!(error, DirectoryError::Version(_)), "{error}");
}

#[test]
fn a_record_without_the_wall_clock_is_read() {
    let mut older = serde_json::to_value(meta()).expect("JSON");
    let fields = older.as_object_mut().expect("fields");
    assert!(fields.remove("realtime_offset").is_some());
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(META), older.to_string()).expect("room");
    fs::write(folder.path().join(EVENTS), []).expect("room");
    let record = Record::read(folder.path()).expect("a record");
    assert_eq!(record.meta.realtime_offset, None);
}

#[test]
fn a_record_whose_recording_was_killed_has_its_events() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("record");
    let mut writer = Writer::create(&path, 1 << 20).expect("room");
    let mut begun = meta();
    (begun.pid, begun.from) = (10, 100);
    writer.begin(&begun).expect("room");
    for time in [90, 110] {
        let threads = [thread(10, 10), thread(0, 0)];
        let event = event(SWITCH, time, 0, threads, 0);
        assert!(writer.add(event.as_bytes()));
    }
    writer.flush();
    assert!(writer.add(&[1; SIZE - 1]));
    let unfinished = writer.unfinished.clone().expect("a folder");
    // Nothing is written any more, or removed.
    std::mem::forget(writer);
    let record = Record::read(&unfinished).expect("a record");
    assert_eq!((record.events.len(), record.damaged), (2, 0));
    let meta = &record.meta;
    assert_eq!((meta.pid, meta.from, meta.to), (10, 90, 110));
    let missing = Timeline::of(record).expect("a record").missing;
    assert!(missing[0].contains("unfinished"), "{missing:?}");
}

#[test]
fn unfinished_records_of_processes_that_have_ended_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    // The most processes that Linux has are 1 << 22.
    let of_ended = format!("record.{}.unfinished", 1 << 23);
    let own = format!("record.{}.unfinished", process::id());
    for name in [
        &*of_ended,
        &own,
        "record",
        "record.x.unfinished",
        "other.8388608.unfinished",
    ] {
        fs::create_dir(folder.path().join(name)).expect("room");
    }
    let found = unfinished_beside(&folder.path().join("record"));
    assert_eq!(found, [folder.path().join(of_ended)]);
}

#[test]
fn a_record_may_be_of_any_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("record");
    for (to, is_one) in [(u64::MAX, true), (99, false)] {
        let writer = Writer::create(&path, 1 << 20).expect("room");
        let mut meta = meta();
        (meta.from, meta.to) = (100, to);
        writer.finish(&mut meta, None).expect("room");
        assert_eq!(Record::read(&path).is_ok(), is_one);
        fs::remove_dir_all(&path).expect("it is there");
    }
}

#[test]
fn an_empty_trace_is_told_and_is_not_in_the_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, trace) = (folder.path().join("record"), folder.path().join("trace"));
    fs::write(&trace, "").expect("room");
    let writer = Writer::create(&path, 1 << 20).expect("room");
    let unwritten = writer.finish(&mut meta(), Some(&trace)).expect("room");
    assert!(unwritten.go_trace.is_some());
    assert!(Record::read(&path).expect("a record").go_trace.is_none());
}

#[test]
fn a_file_that_is_no_trace_is_told_and_is_not_in_the_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let (path, trace) = (folder.path().join("record"), folder.path().join("trace"));
    let go = include_bytes!("../../../gotrace/fixtures/go1.25.trace");
    for (bytes, is_trace) in [(&b"name,value\n1,2\n3,4\n"[..], false), (go, true)] {
        fs::write(&trace, bytes).expect("room");
        let writer = Writer::create(&path, 1 << 20).expect("room");
        let unwritten = writer.finish(&mut meta(), Some(&trace)).expect("room");
        let why = unwritten.go_trace.map(|error| error.to_string());
        let told = why.is_some_and(|why| why.starts_with("not a Go execution trace"));
        assert_eq!(told, !is_trace);
        let kept = Record::read(&path).expect("a record").go_trace;
        assert_eq!(kept.as_deref(), Some(bytes).filter(|_| is_trace));
    }
}

#[test]
fn events_that_cannot_be_written_are_missing_from_the_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("record");
    let mut writer = Writer::create(&path, 1 << 20).expect("room");
    let full = OpenOptions::new().write(true).open("/dev/full");
    writer.events = Some(BufWriter::with_capacity(1, full.expect("a device")));
    assert!(!writer.add(&[0; SIZE]));
    assert!(!writer.add(&[0; SIZE]));
    let unwritten = writer.finish(&mut meta(), None).expect("room");
    let kind = unwritten.events.map(|error| error.kind());
    assert_eq!(kind, Some(io::ErrorKind::StorageFull));
    assert_eq!(Record::read(&path).expect("a record").events, []);
}

#[test]
fn a_trace_that_is_not_there_is_missing_from_the_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("record");
    let writer = Writer::create(&path, 1 << 20).expect("room");
    let trace = folder.path().join("trace");
    let unwritten = writer.finish(&mut meta(), Some(&trace)).expect("room");
    assert!(unwritten.events.is_none() && unwritten.go_trace.is_some());
    assert_eq!(Record::read(&path).expect("a record").go_trace, None);
}

#[test]
fn a_record_is_kept_elsewhere_if_other_files_are_in_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("record");
    let writer = Writer::create(&path, 1 << 20).expect("room");
    fs::create_dir(&path).expect("room");
    fs::write(path.join("notes"), "").expect("room");
    let Err(DirectoryError::NotInPlace { unfinished, .. }) = writer.finish(&mut meta(), None)
    else {
        panic!("other files are replaced");
    };
    assert!(path.join("notes").exists());
    assert!(Record::read(&unfinished).is_ok());
}

#[test]
fn a_symbolic_link_is_not_replaced() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("link");
    std::os::unix::fs::symlink(folder.path(), &path).expect("room");
    assert!(Writer::create(&path, 1 << 20).is_err());
    assert!(path.is_symlink());
}

#[test]
fn a_file_is_no_record() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let error = Record::read(file.path()).expect_err("no record");
    assert!(matches!(error, DirectoryError::NoRecord { .. }), "{error}");
}

#[test]
fn damaged_events_are_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("record");
    let mut writer = Writer::create(&path, 1 << 20).expect("room");
    assert!(writer.add(&[0; SIZE]));
    assert!(writer.add(&[1, 2, 3]));
    writer.finish(&mut meta(), None).expect("room");
    let record = Record::read(&path).expect("a record");
    assert_eq!((record.events.len(), record.damaged), (0, SIZE as u64 + 3));
}
