// SPDX-License-Identifier: GPL-2.0

//! Loads the BPF programs and passes on what they tell, or what tracefs tells in their place.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use go_sched_tracefs::NotRemoved;
use go_sched_tracefs::TracefsError;
use libbpf_rs::btf::Btf;
use libbpf_rs::skel::OpenSkel;
use libbpf_rs::skel::Skel;
use libbpf_rs::skel::SkelBuilder;
use libbpf_rs::RingBufferBuilder;

use self::skeleton::types::go_layout;
use self::skeleton::RecordSkelBuilder;
use crate::event::Event;
use crate::event::EventKind;
use crate::layout::GoProgram;
use crate::layout::Layout;
use crate::layout::LayoutError;
use crate::tracefs;

#[expect(warnings, reason = "libbpf-cargo makes this file")]
mod skeleton {
    include!(concat!(env!("OUT_DIR"), "/record.skel.rs"));
}

/// The time between two reads of the ring buffer.
pub(crate) const READ_EVERY: Duration = Duration::from_millis(20);

/// The reason that nothing can be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The kernel says nothing of its types.
    #[error(
        "this kernel has no BTF (/sys/kernel/btf/vmlinux): it takes one with CONFIG_DEBUG_INFO_BTF"
    )]
    NoBtf,
    /// The kernel refuses the BPF programs.
    #[error("the kernel refuses the BPF programs: {0}")]
    Load(libbpf_rs::Error),
    /// The user lacks capabilities.
    #[error("BPF programs take CAP_BPF and CAP_PERFMON, which root has: run as root")]
    NotPermitted,
    /// The ring buffer cannot be read.
    #[error("the events of the kernel cannot be read: {0}")]
    Read(libbpf_rs::Error),
    /// Tracefs cannot be used, or its events cannot be read.
    #[error(transparent)]
    Tracefs(#[from] TracefsError),
    /// Neither BPF programs nor tracefs can be used.
    #[error("{bpf}; and tracefs cannot be used instead: {tracefs}")]
    Neither {
        /// What is wrong with BPF.
        bpf: Box<RecordError>,
        /// What is wrong with tracefs.
        tracefs: TracefsError,
    },
    /// What a caller does with events, or the start of a command, has failed.
    #[error(transparent)]
    Os(#[from] io::Error),
}

/// What tells the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// BPF programs.
    Bpf,
    /// Tracepoints of tracefs, which tell less, and of threads alone.
    Tracefs,
}

/// The process to record.
#[derive(Clone, Debug)]
pub enum Target {
    /// A process that runs.
    Process(i32),
    /// The next process that the recorder starts, with what it will execute if that is known.
    Next(Option<PathBuf>),
}

/// What a recorder does meanwhile.
pub trait Control {
    /// Starts the process to record, if it is [`Target::Next`].
    fn start(&mut self) -> io::Result<()>;

    /// Takes an event, with its bytes. The recording ends if this returns false.
    fn take(&mut self, event: &Event, bytes: &[u8]) -> io::Result<bool>;

    /// Tells what goroutines are read of, each time that it becomes known.
    fn program(&mut self, program: Result<GoProgram, LayoutError>);

    /// Waits for so long, and returns whether the recording ends.
    fn pause(&mut self, pause: Duration) -> io::Result<bool>;
}

/// What a recording has come to.
#[derive(Debug)]
pub struct Outcome {
    /// Events that found no room in the buffer: by tracefs, those of all programs.
    pub lost: u64,
    /// The process that was recorded, or -1 if it was never started.
    pub target: i32,
    /// What is to be said if tracefs has told the events.
    pub tracefs: Option<Fallback>,
}

/// A recording by tracefs.
#[derive(Debug)]
pub struct Fallback {
    /// Reason that no BPF program was used.
    pub why: String,
    /// What could not be removed in the end.
    pub not_removed: Option<NotRemoved>,
}

/// Records a process until `control` says that it ends. Without a `backend`, it is tracefs where BPF
/// programs cannot be loaded.
pub fn record(
    target: &Target,
    backend: Option<Backend>,
    control: &mut dyn Control,
) -> Result<Outcome, RecordError> {
    if backend == Some(Backend::Tracefs) {
        let why = "no BPF program was to be used".to_owned();
        return tracefs::record(tracefs::start()?, why, target, control);
    }
    match record_by_bpf(target, control) {
        // These come before the recording starts.
        Err(bpf @ (RecordError::NoBtf | RecordError::Load(_) | RecordError::NotPermitted))
            if backend.is_none() =>
        {
            match tracefs::start() {
                Ok(instance) => tracefs::record(instance, bpf.to_string(), target, control),
                Err(tracefs) => Err(RecordError::Neither {
                    bpf: Box::new(bpf),
                    tracefs,
                }),
            }
        }
        outcome => outcome,
    }
}

fn record_by_bpf(target: &Target, control: &mut dyn Control) -> Result<Outcome, RecordError> {
    let btf = prepare()?;
    let has_go_sched = has_go_sched(&btf);
    drop(btf);
    let mut storage = MaybeUninit::uninit();
    let mut open = RecordSkelBuilder::default()
        .open(&mut storage)
        .map_err(RecordError::Load)?;
    open.progs.on_priority.set_autoload(has_go_sched);
    let mut skeleton = open.load().map_err(RecordError::Load)?;
    skeleton.attach().map_err(RecordError::Load)?;

    let data = skeleton.maps.data_data.as_deref_mut();
    let bss = skeleton.maps.bss_data.as_deref_mut();
    let (Some(data), Some(bss)) = (data, bss) else {
        return Err(unmapped());
    };
    let mut programs = Programs::default();
    match target {
        Target::Process(pid) => {
            let program = Programs::of_process(*pid);
            if let Ok(program) = &program {
                bss.layout = layout(program.layout);
                bss.is_go = true;
            }
            control.program(program);
            data.target = *pid;
        }
        Target::Next(executable) => {
            if let Some(path) = executable {
                if let Ok(program) = programs.expect(path) {
                    bss.layout = layout(program.layout);
                    bss.is_go_after_exec = true;
                }
            }
            bss.starter = process::id();
        }
    }
    // The buffer's callback has the state that is needed below as well.
    let state = std::cell::RefCell::new((control, Ok(true), false));
    let mut builder = RingBufferBuilder::new();
    builder
        .add(&skeleton.maps.events, |bytes| {
            let (control, goes_on, executes) = &mut *state.borrow_mut();
            let Some(event) = Event::from_bytes(bytes) else {
                return 0;
            };
            *executes |= event.kind() == EventKind::Exec;
            if matches!(goes_on, Ok(true)) {
                *goes_on = control.take(&event, bytes);
            }
            0
        })
        .map_err(RecordError::Read)?;
    let buffer = builder.build().map_err(RecordError::Read)?;
    state.borrow_mut().0.start()?;
    loop {
        // The end is looked for first: then the last events are in the buffer.
        let ends = state.borrow_mut().0.pause(READ_EVERY)?;
        buffer.consume().map_err(RecordError::Read)?;
        let (control, goes_on, executes) = &mut *state.borrow_mut();
        if std::mem::take(executes) {
            let (program, is_expected) = programs.executed(data.target);
            if !is_expected {
                bss.is_go = false;
                if let Ok(program) = &program {
                    bss.layout = layout(program.layout);
                    bss.is_go = true;
                }
            }
            control.program(program);
        }
        if ends || !std::mem::replace(goes_on, Ok(true))? {
            break;
        }
    }
    Ok(Outcome {
        lost: bss.lost,
        target: data.target,
        tracefs: None,
    })
}

/// The programs that a process executes.
#[derive(Default)]
pub(crate) struct Programs {
    /// What the process will execute first, which takes a while to read.
    expected: Option<(Option<FileId>, Result<GoProgram, LayoutError>)>,
}

impl Programs {
    /// Reads the program that a process will execute first.
    pub(crate) fn expect(&mut self, path: &Path) -> &Result<GoProgram, LayoutError> {
        let program = GoProgram::read(path);
        &self.expected.insert((FileId::of(path), program)).1
    }

    /// Reads the program of a process.
    pub(crate) fn of_process(pid: i32) -> Result<GoProgram, LayoutError> {
        GoProgram::read(Path::new(&format!("/proc/{pid}/exe")))
    }

    /// Returns the program that a process has executed, and whether it is the expected one.
    pub(crate) fn executed(&mut self, pid: i32) -> (Result<GoProgram, LayoutError>, bool) {
        let now = FileId::of(Path::new(&format!("/proc/{pid}/exe")));
        match self.expected.take() {
            // It may have ended by now.
            Some((id, program)) if now.is_none_or(|now| id == Some(now)) => (program, true),
            _ => (Self::of_process(pid), false),
        }
    }
}

/// What tells a file from all others.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

/// Returns the kernel's types, if this process may load BPF programs.
pub(crate) fn prepare() -> Result<Btf<'static>, RecordError> {
    check_permitted()?;
    // What libbpf says of its own accord, the error says as well.
    libbpf_rs::set_print(None);
    Btf::from_vmlinux().map_err(|_| RecordError::NoBtf)
}

/// Returns whether the kernel of these types has go_sched.
pub(crate) fn has_go_sched(btf: &Btf<'_>) -> bool {
    btf.type_by_name::<libbpf_rs::btf::types::Typedef<'_>>("btf_trace_go_sched_apply")
        .is_some()
}

/// Returns the error of programs whose variables cannot be mapped.
pub(crate) fn unmapped() -> RecordError {
    RecordError::Load(io::Error::from(io::ErrorKind::Unsupported).into())
}

/// Fails unless this process has the capabilities: the kernel has the same error for a program
/// that it does not take.
fn check_permitted() -> Result<(), RecordError> {
    const SYS_ADMIN: u64 = 1 << 21;
    const PERFMON: u64 = 1 << 38;
    const BPF: u64 = 1 << 39;
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let has = line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    let permitted = |has: u64| has & SYS_ADMIN != 0 || has & (PERFMON | BPF) == PERFMON | BPF;
    if has.is_some_and(|has| !permitted(has)) {
        return Err(RecordError::NotPermitted);
    }
    Ok(())
}

fn layout(layout: Layout) -> go_layout {
    go_layout {
        tls_g: layout.tls_g,
        g_m: layout.g_m,
        g_goid: layout.g_goid,
        g_status: layout.g_status,
        m_curg: layout.m_curg,
        m_p: layout.m_p,
        m_oldp: layout.m_oldp,
        m_syscalltick: layout.m_syscalltick,
        p_id: layout.p_id,
        p_status: layout.p_status,
        p_syscalltick: layout.p_syscalltick,
    }
}
