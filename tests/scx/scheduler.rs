// SPDX-License-Identifier: GPL-2.0

//! The smallest sched_ext scheduler, which has no callbacks. The kernel then runs all
//! threads in the order in which they were queued.
//!
//! For the kernel, a scheduler is a map of type `BPF_MAP_TYPE_STRUCT_OPS` with one
//! `struct sched_ext_ops`. A scheduler without callbacks has no BPF program to compile or
//! to verify. This file writes the bytes of the structure, at the offsets from the
//! kernel's type information.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd;
use std::os::fd::OwnedFd;
use std::sync::LazyLock;

use btf_rs::Btf;
use btf_rs::BtfType;
use btf_rs::Struct;
use btf_rs::Type;
use common::syscall::result_of;
use rustix::io::Errno;

const VMLINUX_BTF: &str = "/sys/kernel/btf/vmlinux";
const STATE: &str = "/sys/kernel/sched_ext/state";

// From uapi/linux/bpf.h.
const BPF_MAP_CREATE: libc::c_int = 0;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_BTF_LOAD: libc::c_int = 18;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_MAP_TYPE_STRUCT_OPS: u32 = 26;
const BPF_STRUCT_OPS: u32 = 44;
const BPF_F_LINK: u32 = 1 << 13;

// From kernel/sched/ext.c.
const SCX_OPS_SWITCH_PARTIAL: u64 = 1 << 3;

/// Type information with one type, a pointer to void: a header, the type, and the empty
/// string. A map whose value is a structure of the kernel must have type information,
/// but the kernel does not use it.
const BTF: [u32; 10] = [0x0001_eb9f, 24, 0, 12, 12, 4, 0, 2 << 24, 0, 0];

/// `union bpf_attr` of `BPF_BTF_LOAD`, as far as it is used.
#[repr(C)]
struct BtfLoad {
    btf: u64,
    log: u64,
    size: u32,
    log_size: u32,
}

/// `union bpf_attr` of `BPF_MAP_CREATE`, as far as it is used.
#[repr(C)]
#[derive(Default)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    unused: [u32; 7],
    btf_fd: u32,
    btf_types: [u32; 2],
    btf_vmlinux_value_type_id: u32,
}

/// `union bpf_attr` of `BPF_MAP_UPDATE_ELEM`.
#[repr(C)]
struct MapUpdate {
    map_fd: u64,
    key: u64,
    value: u64,
    flags: u64,
}

/// `union bpf_attr` of `BPF_LINK_CREATE`, as far as it is used.
#[repr(C)]
struct LinkCreate {
    map_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
}

/// Layout of a scheduler's map value, from the kernel's type information.
struct Layout {
    /// Type id of the map's value.
    value_type: u32,
    /// Size of the map's value, in bytes.
    size: usize,
    /// Offset of the scheduler's name, in bytes.
    name: usize,
    /// Offset of the scheduler's flags, in bytes.
    flags: usize,
}

/// Layout, read once, because that takes seconds under emulation.
static LAYOUT: LazyLock<Layout> = LazyLock::new(|| {
    let types = fs::read(VMLINUX_BTF).expect("the kernel has type information");
    let types = Btf::from_bytes(&types).expect("the type information is valid");
    let (value_type, value) = structure(&types, "bpf_struct_ops_sched_ext_ops");
    let (_, ops) = structure(&types, "sched_ext_ops");
    let data = offset(&types, &value, "data");
    Layout {
        value_type,
        size: value.size(),
        name: data + offset(&types, &ops, "name"),
        flags: data + offset(&types, &ops, "flags"),
    }
});

/// A loaded scheduler. The scheduler is unloaded on drop, or when the process ends.
#[derive(Debug)]
pub struct Scheduler {
    _link: OwnedFd,
}

impl Scheduler {
    /// Loads a scheduler that runs all threads that no higher scheduling class runs.
    #[track_caller]
    pub fn full(name: &str) -> Self {
        Self::load(name, 0)
    }

    /// Loads a scheduler that runs the threads whose policy is `SCHED_EXT`.
    #[track_caller]
    pub fn partial(name: &str) -> Self {
        Self::load(name, SCX_OPS_SWITCH_PARTIAL)
    }

    #[track_caller]
    fn load(name: &str, flags: u64) -> Self {
        let mut value = vec![0; LAYOUT.size];
        let mut put = |start, bytes: &[u8]| {
            value[start..start + bytes.len()].copy_from_slice(bytes);
        };
        put(LAYOUT.name, name.as_bytes());
        put(LAYOUT.flags, &flags.to_ne_bytes());

        let link = attach(LAYOUT.value_type, &value)
            .unwrap_or_else(|error| panic!("loading {name}: {error}"));
        // Later errors are only in the kernel log.
        assert_eq!(state(), "enabled");
        Self { _link: link }
    }
}

/// Returns the state of sched_ext, such as "disabled".
pub fn state() -> String {
    let state = fs::read_to_string(STATE).expect("the kernel has sched_ext");
    state.trim_end().to_owned()
}

/// Creates the map, fills it, and loads the scheduler. Returns the file descriptor that
/// keeps the scheduler loaded.
fn attach(value_type: u32, value: &[u8]) -> Result<OwnedFd, Errno> {
    let load = BtfLoad {
        btf: BTF.as_ptr().addr() as u64,
        log: 0,
        size: size_of_val(&BTF) as u32,
        log_size: 0,
    };
    // SAFETY: The command reads `BTF` and returns a new descriptor.
    let btf = unsafe { OwnedFd::from_raw_fd(bpf(BPF_BTF_LOAD, &load)?) };

    let create = MapCreate {
        map_type: BPF_MAP_TYPE_STRUCT_OPS,
        key_size: size_of::<u32>() as u32,
        value_size: value.len() as u32,
        max_entries: 1,
        map_flags: BPF_F_LINK,
        btf_fd: btf.as_raw_fd() as u32,
        btf_vmlinux_value_type_id: value_type,
        ..Default::default()
    };
    // SAFETY: The command reads nothing else, and returns a new descriptor.
    let map = unsafe { OwnedFd::from_raw_fd(bpf(BPF_MAP_CREATE, &create)?) };

    let key = 0_u32;
    let update = MapUpdate {
        map_fd: map.as_raw_fd() as u64,
        key: (&raw const key).addr() as u64,
        value: value.as_ptr().addr() as u64,
        flags: 0,
    };
    // SAFETY: The map was created with the sizes of `key` and `value`, which the
    // command only reads.
    unsafe { bpf(BPF_MAP_UPDATE_ELEM, &update)? };

    let create = LinkCreate {
        map_fd: map.as_raw_fd() as u32,
        target_fd: 0,
        attach_type: BPF_STRUCT_OPS,
        flags: 0,
    };
    // SAFETY: The command reads nothing else, and returns a new descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(bpf(BPF_LINK_CREATE, &create)?) })
}

/// Calls `bpf(2)` and returns its result.
///
/// # Safety
///
/// `attr` must be of the type that `command` takes, and its addresses must be valid for
/// what the command reads and writes there.
unsafe fn bpf<T>(command: libc::c_int, attr: &T) -> Result<libc::c_int, Errno> {
    // SAFETY: The caller guarantees that `attr` and its addresses are valid.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attr),
            size_of::<T>(),
        )
    };
    result_of(result).map(|result| result as libc::c_int)
}

/// Returns a structure of the kernel and its type id.
#[track_caller]
fn structure(types: &Btf, name: &str) -> (u32, Struct) {
    let ids = types
        .resolve_ids_by_name(name)
        .expect("the kernel knows it");
    ids.into_iter()
        .find_map(|id| match types.resolve_type_by_id(id) {
            Ok(Type::Struct(structure)) => Some((id, structure)),
            _ => None,
        })
        .unwrap_or_else(|| panic!("the kernel has no struct {name}"))
}

/// Returns the offset of a field in a structure, in bytes.
#[track_caller]
fn offset(types: &Btf, structure: &Struct, field: &str) -> usize {
    structure
        .members
        .iter()
        .find(|member| {
            types
                .resolve_name(*member as &dyn BtfType)
                .is_ok_and(|name| name == field)
        })
        .map(|member| member.bit_offset() as usize / 8)
        .unwrap_or_else(|| panic!("the kernel's structure has no field {field}"))
}
