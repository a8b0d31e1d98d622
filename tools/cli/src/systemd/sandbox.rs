// SPDX-License-Identifier: GPL-2.0

//! Limits on what a service may see, run and call: see "Sandboxing" and "System Call
//! Filtering" in systemd.exec(5).

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use super::analyze::ask;
use super::syntax::boolean;
use super::syntax::words;
use crate::error::ServiceError;

/// Folders that `ProtectHome=` hides.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];
/// Folders that `PrivateTmp=` hides.
const TEMPORARY: [&str; 2] = ["/tmp", "/var/tmp"];
/// Specifiers that stand for the same in each service, see "Specifiers" in systemd.unit(5).
const SPECIFIERS: [(char, &str); 9] = [
    ('%', "%"),
    ('C', "/var/cache"),
    ('E', "/etc"),
    ('L', "/var/log"),
    ('S', "/var/lib"),
    ('T', "/tmp"),
    ('V', "/var/tmp"),
    ('h', "/root"),
    ('t', "/run"),
];

/// The sandbox of a service.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Sandbox {
    /// Name of the service, which specifiers stand for a part of.
    service: String,
    /// Paths of the settings that have lists of them.
    paths: BTreeMap<&'static str, Vec<PathBuf>>,
    binds: Vec<Bind>,
    /// True if homes are hidden for good, false if `BindPaths=` may show them.
    hides_homes: bool,
    covers_homes: bool,
    private_tmp: bool,
    /// True if `DynamicUser=` is set, which implies `PrivateTmp=`.
    pub(super) dynamic_user: bool,
    /// Assignments of `SystemCallFilter=`.
    filters: Vec<String>,
}

/// A path of `BindPaths=` or `BindReadOnlyPaths=`.
#[derive(Debug, PartialEq, Eq)]
struct Bind {
    /// Setting that has it, as messages name it.
    setting: &'static str,
    source: PathBuf,
    /// Path in the service.
    path: PathBuf,
    /// True if all specifiers of both paths are known.
    known: bool,
}

impl Sandbox {
    /// Returns the sandbox of a service that has no settings yet.
    pub(super) fn new(service: &str) -> Self {
        Self {
            service: service.to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn assign(&mut self, key: &str, value: &str) {
        match key {
            "ProtectHome" => {
                let hides = boolean(value);
                if hides.is_some() || ["read-only", "tmpfs"].contains(&value) {
                    self.hides_homes = hides == Some(true);
                    self.covers_homes = value == "tmpfs";
                }
            }
            "PrivateTmp" => {
                let disconnected = (value == "disconnected").then_some(true);
                self.private_tmp = boolean(value).or(disconnected).unwrap_or(self.private_tmp);
            }
            "DynamicUser" => self.dynamic_user = boolean(value).unwrap_or(self.dynamic_user),
            "SystemCallFilter" if value.is_empty() => self.filters.clear(),
            "SystemCallFilter" => self.filters.push(value.to_owned()),
            "InaccessiblePaths" | "InaccessibleDirectories" => {
                self.assign_paths("InaccessiblePaths", value, 0);
            }
            "NoExecPaths" => self.assign_paths("NoExecPaths", value, 0),
            "ExecPaths" => self.assign_paths("ExecPaths", value, 0),
            "TemporaryFileSystem" => self.assign_paths("TemporaryFileSystem", value, 0),
            "MountImages" => self.assign_paths("MountImages", value, 1),
            // Both have one list.
            "BindPaths" | "BindReadOnlyPaths" if value.is_empty() => self.binds.clear(),
            "BindPaths" => self.bind("BindPaths=", value),
            "BindReadOnlyPaths" => self.bind("BindReadOnlyPaths=", value),
            _ => (),
        }
    }

    /// Adds paths to the list of `key`. Words have fields with a colon between each two, of
    /// which the one at `index`, or else the first, is the path in the service.
    fn assign_paths(&mut self, key: &'static str, value: &str, index: usize) {
        if value.is_empty() {
            self.paths.remove(key);
        }
        for word in words(value) {
            let fields = fields(&word);
            let path = fields.get(index).unwrap_or(&fields[0]);
            let (path, known) = self.expanded(path);
            // What is unknown allows nothing.
            if known || key != "ExecPaths" {
                self.paths.entry(key).or_default().push(path);
            }
        }
    }

    /// Adds the words of a setting: a source, and a path in the service if that is another one.
    fn bind(&mut self, setting: &'static str, value: &str) {
        for word in words(value) {
            let fields = fields(&word);
            let source = &fields[0];
            let path = fields.get(1).filter(|path| !path.is_empty());
            let path = path.unwrap_or(source);
            let is_itself = path == source;
            let (source, path) = (self.expanded(source), self.expanded(path));
            let known = source.1 && path.1;
            // Wherever a path on itself is, it hides nothing.
            if known || !is_itself {
                self.binds.push(Bind {
                    setting,
                    source: source.0,
                    path: path.0,
                    known,
                });
            }
        }
    }

    /// Returns a path with what its specifiers stand for, and `true`. Of one with a specifier that
    /// is not known, returns the folder that the path is below.
    fn expanded(&self, text: &str) -> (PathBuf, bool) {
        let mut path = String::new();
        let mut characters = text.chars();
        while let Some(c) = characters.next() {
            if c != '%' {
                path.push(c);
                continue;
            }
            match characters.next().and_then(|name| self.specifier(name)) {
                Some(stands_for) => path.push_str(stands_for),
                None => {
                    let folder = path.rfind('/').map_or("/", |slash| &path[..=slash]);
                    return (folder.into(), false);
                }
            }
        }
        (path.into(), true)
    }

    /// Returns what a specifier stands for, if that is known.
    fn specifier(&self, specifier: char) -> Option<&str> {
        let service = self.service.strip_suffix(".service")?;
        let (prefix, instance) = service.split_once('@').unwrap_or((service, ""));
        Some(match specifier {
            'n' => &self.service,
            'N' => service,
            'p' => prefix,
            'j' => prefix.rsplit('-').next()?,
            'i' => instance,
            _ => SPECIFIERS.iter().find(|(name, _)| *name == specifier)?.1,
        })
    }

    /// Returns the number of components of the longest path that `path` is at or below, and that
    /// a bind of the setting `covering` covers with something else, or that any bind shows as
    /// it is if there is no `covering`.
    fn bind_depth(
        &self,
        covering: Option<&str>,
        path: &Path,
        real: &dyn Fn(&Path) -> PathBuf,
    ) -> Option<usize> {
        let binds = self.binds.iter().filter_map(|bind| {
            let (source, path) = (real(&bind.source), real(&bind.path));
            let is_shown = bind.known && source == path;
            let covers = (!is_shown).then_some(bind.setting);
            (covers == covering).then_some(path)
        });
        depth(path, binds)
    }

    /// Returns the number of components of the longest path in the list of `key` that
    /// `path` is at or below.
    fn depth(&self, key: &str, path: &Path, real: &dyn Fn(&Path) -> PathBuf) -> Option<usize> {
        let paths = self.paths.get(key)?.iter().map(|listed| real(listed));
        depth(path, paths)
    }

    /// Returns the setting that hides `path` from the service. `real` follows links.
    pub(super) fn hides(
        &self,
        path: &Path,
        real: &dyn Fn(&Path) -> PathBuf,
    ) -> Option<&'static str> {
        let below = |folders: &[&str], hidden: bool| {
            let folders = folders.iter().map(|folder| real(Path::new(folder)));
            depth(path, folders).filter(|_| hidden)
        };
        // Nothing below them is shown again.
        if self.depth("InaccessiblePaths", path, real).is_some() {
            return Some("InaccessiblePaths=");
        }
        if below(&HOMES, self.hides_homes).is_some() {
            return Some("ProtectHome=");
        }
        let bound = |setting| self.bind_depth(Some(setting), path, real);
        let shown = self.bind_depth(None, path, real);
        [
            ("ProtectHome=", below(&HOMES, self.covers_homes)),
            ("PrivateTmp=", below(&TEMPORARY, self.private_tmp)),
            ("DynamicUser=", below(&TEMPORARY, self.dynamic_user)),
            ("BindPaths=", bound("BindPaths=")),
            ("BindReadOnlyPaths=", bound("BindReadOnlyPaths=")),
            ("MountImages=", self.depth("MountImages", path, real)),
            (
                "TemporaryFileSystem=",
                self.depth("TemporaryFileSystem", path, real),
            ),
        ]
        .into_iter()
        .find_map(|(setting, hidden)| hidden.filter(|_| hidden > shown).map(|_| setting))
    }

    /// Returns whether `NoExecPaths=` keeps the service from running the file `path`.
    pub(super) fn forbids_running(&self, path: &Path, real: &dyn Fn(&Path) -> PathBuf) -> bool {
        let forbidden = self.depth("NoExecPaths", path, real);
        forbidden.is_some() && forbidden >= self.depth("ExecPaths", path, real)
    }

    /// Returns the first of `calls` that `SystemCallFilter=` does not let through.
    pub(super) fn refused_call(
        &self,
        calls: &[&'static str],
    ) -> Result<Option<&'static str>, ServiceError> {
        if self.filters.is_empty() {
            return Ok(None);
        }
        let groups = Groups::parse(&ask(&["syscall-filter"])?);
        let refused = calls
            .iter()
            .find(|call| refuses(&self.filters, call, &groups));
        Ok(refused.copied())
    }
}

/// Returns the fields of a word of a list, which colons separate unless a backslash escapes them.
fn fields(word: &str) -> Vec<String> {
    let word = word.trim_start_matches(['-', '+']).replace("\\:", "\0");
    let fields = word.split(':');
    fields.map(|field| field.replace('\0', ":")).collect()
}

/// Returns the number of components of the longest of `paths` that `path` is at or below.
fn depth(path: &Path, paths: impl Iterator<Item = PathBuf>) -> Option<usize> {
    paths
        .filter(|listed| path.starts_with(listed))
        .map(|listed| listed.components().count())
        .max()
}

/// Returns whether these assignments of `SystemCallFilter=` stop a system call. The
/// first one tells whether there is a list of what is allowed, or of what is denied.
fn refuses(filters: &[String], call: &str, groups: &Groups) -> bool {
    let mut state = None;
    for filter in filters {
        let (inverted, names) = match filter.strip_prefix('~') {
            Some(names) => (true, names),
            None => (false, &**filter),
        };
        let (allows, listed) =
            state.get_or_insert_with(|| (!inverted, !inverted && groups.has("@default", call)));
        for word in names.split_whitespace() {
            let (name, errno) = word
                .split_once(':')
                .map_or((word, None), |(name, errno)| (name, Some(errno)));
            // systemd ignores what is allowed with an error.
            if (inverted || errno.is_none()) && groups.has(name, call) {
                *listed = inverted != *allows;
            }
        }
    }
    state.is_some_and(|(allows, listed)| allows != listed)
}

/// The groups of system calls, each with its members.
struct Groups(BTreeMap<String, Vec<String>>);

impl Groups {
    /// Reads the output of `systemd-analyze syscall-filter`.
    fn parse(text: &str) -> Self {
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut members = None;
        for line in text.lines() {
            let name = line.trim().to_owned();
            match line.chars().next() {
                Some('@') => members = Some(groups.entry(name).or_default()),
                Some(' ') if !name.starts_with('#') => {
                    members.iter_mut().for_each(|list| list.push(name.clone()))
                }
                _ => (),
            }
        }
        Self(groups)
    }

    /// Returns whether `name` is the system call `call`, or a group that has it.
    fn has(&self, name: &str, call: &str) -> bool {
        let members = self.0.get(name).map_or(&[][..], Vec::as_slice);
        name == call || members.iter().any(|member| self.has(member, call))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox(settings: &str) -> Sandbox {
        let mut sandbox = Sandbox::new("app-web@db.service");
        for line in settings.lines() {
            let (key, value) = line.split_once('=').expect("an assignment");
            sandbox.assign(key, value);
        }
        sandbox
    }

    /// Stands for a system where /bin and /home are links.
    fn real(path: &Path) -> PathBuf {
        let links = [("/bin", "/usr/bin"), ("/home", "/srv/homes")];
        let real = links.iter().find_map(|(link, target)| {
            let below = path.strip_prefix(link).ok()?;
            Some(Path::new(target).join(below))
        });
        real.unwrap_or_else(|| path.to_owned())
    }

    #[test]
    fn what_hides_a_path_is_named() {
        for (settings, path, expected) in [
            (
                "ProtectHome=yes",
                "/srv/homes/me/gosched",
                Some("ProtectHome="),
            ),
            ("ProtectHome=yes", "/root/gosched", Some("ProtectHome=")),
            (
                "ProtectHome=yes\nBindPaths=/home",
                "/srv/homes/me/gosched",
                Some("ProtectHome="),
            ),
            ("ProtectHome=yes", "/rooted/gosched", None),
            ("ProtectHome=yes", "/usr/bin/gosched", None),
            ("ProtectHome=read-only", "/srv/homes/me/gosched", None),
            (
                "ProtectHome=yes\nProtectHome=maybe",
                "/srv/homes/me/gosched",
                Some("ProtectHome="),
            ),
            (
                "ProtectHome=yes\nProtectHome=no",
                "/srv/homes/me/gosched",
                None,
            ),
            (
                "ProtectHome=tmpfs",
                "/srv/homes/me/gosched",
                Some("ProtectHome="),
            ),
            (
                "ProtectHome=tmpfs\nBindReadOnlyPaths=-/home/me",
                "/srv/homes/me/gosched",
                None,
            ),
            (
                "PrivateTmp=disconnected",
                "/var/tmp/gosched",
                Some("PrivateTmp="),
            ),
            ("PrivateTmp=1", "/usr/bin/gosched", None),
            (
                "InaccessiblePaths=/home -/usr/bin/gosched",
                "/usr/bin/gosched",
                Some("InaccessiblePaths="),
            ),
            (
                "InaccessiblePaths=\"/bin\"",
                "/usr/bin/gosched",
                Some("InaccessiblePaths="),
            ),
            (
                "InaccessiblePaths=/usr\nInaccessiblePaths=",
                "/usr/bin/gosched",
                None,
            ),
            (
                "TemporaryFileSystem=/usr:ro",
                "/usr/bin/gosched",
                Some("TemporaryFileSystem="),
            ),
            (
                "TemporaryFileSystem=/:ro\nBindPaths=/bin:/usr/bin:norbind",
                "/usr/bin/gosched",
                None,
            ),
            (
                "BindPaths=/srv/empty:/tmp/x",
                "/tmp/x/gosched",
                Some("BindPaths="),
            ),
            (
                "BindPaths=/srv/empty:/tmp/x\nBindReadOnlyPaths=",
                "/tmp/x/gosched",
                None,
            ),
            ("BindPaths=/srv/empty:/tmp /tmp/x", "/tmp/x/gosched", None),
            (
                "BindPaths=/srv/a\\:b:/tmp/x",
                "/tmp/x/gosched",
                Some("BindPaths="),
            ),
            (
                "MountImages=-/srv/a.img:/tmp:root",
                "/tmp/x/gosched",
                Some("MountImages="),
            ),
            ("DynamicUser=yes", "/tmp/x/gosched", Some("DynamicUser=")),
            ("DynamicUser=yes\nDynamicUser=no", "/tmp/x/gosched", None),
            (
                "InaccessiblePaths=%T",
                "/tmp/x/gosched",
                Some("InaccessiblePaths="),
            ),
            (
                "InaccessiblePaths=/tmp/a%b",
                "/tmp/x/gosched",
                Some("InaccessiblePaths="),
            ),
            ("InaccessiblePaths=/srv/%b", "/tmp/x/gosched", None),
            ("InaccessiblePaths=/tmp/100%%", "/tmp/x/gosched", None),
            (
                "PrivateTmp=yes\nBindPaths=/tmp/%b",
                "/tmp/x/gosched",
                Some("PrivateTmp="),
            ),
            (
                "BindReadOnlyPaths=/srv/empty:/tmp/%b",
                "/tmp/x/gosched",
                Some("BindReadOnlyPaths="),
            ),
            (
                "BindPaths=/tmp/%b /tmp/x/%b:/tmp/x/%b",
                "/tmp/x/gosched",
                None,
            ),
            ("BindPaths=/srv:/tmp/%p", "/tmp/x/gosched", None),
            (
                "InaccessiblePaths=/tmp/%n/%N/%p/%j/%i",
                "/tmp/app-web@db.service/app-web@db/app-web/web/db/gosched",
                Some("InaccessiblePaths="),
            ),
            (
                "PrivateTmp=yes\nBindPaths=/tmp/%j",
                "/tmp/web/gosched",
                None,
            ),
            (
                "ProtectHome=yes",
                "/srv/homes/me/gosched",
                Some("ProtectHome="),
            ),
            (
                "BindPaths=/usr\nTemporaryFileSystem=/usr/bin",
                "/usr/bin/gosched",
                Some("TemporaryFileSystem="),
            ),
        ] {
            let found = sandbox(settings).hides(Path::new(path), &real);
            assert_eq!(found, expected, "{settings}: {path}");
        }
    }

    #[test]
    fn the_longest_path_tells_whether_a_file_may_run() {
        for (settings, forbidden) in [
            ("", false),
            ("NoExecPaths=/", true),
            ("NoExecPaths=/\nExecPaths=/usr/bin/app /usr/lib", true),
            ("NoExecPaths=/\nExecPaths=/usr/bin", false),
            ("NoExecPaths=/\nExecPaths=/bin/gosched", false),
            ("NoExecPaths=/ /usr/bin\nExecPaths=/usr", true),
            ("NoExecPaths=/\nNoExecPaths=", false),
            ("NoExecPaths=/var", false),
            ("NoExecPaths=/\nExecPaths=/usr/%b", true),
        ] {
            let found = sandbox(settings).forbids_running(Path::new("/usr/bin/gosched"), &real);
            assert_eq!(found, forbidden, "{settings}");
        }
    }

    #[test]
    fn the_filters_of_system_calls_add_up() {
        let groups = "\
@default
    # System calls that are always permitted
    execve
@privileged
    # All system calls which need super-user capabilities
    @chown
    capset
@system-service
    ioctl
    capset
    @default
# Ungrouped
";
        let groups = Groups::parse(groups);
        for (settings, refused) in [
            ("SystemCallFilter=@system-service", false),
            (
                "SystemCallFilter=@system-service\nSystemCallFilter=~@privileged @resources",
                true,
            ),
            ("SystemCallFilter=~@privileged", true),
            (
                "SystemCallFilter=~@privileged\nSystemCallFilter=capset",
                false,
            ),
            ("SystemCallFilter=~@privileged:EPERM", true),
            ("SystemCallFilter=ioctl", true),
            ("SystemCallFilter=ioctl capset:EPERM", true),
            ("SystemCallFilter=ioctl\nSystemCallFilter=capset", false),
            ("SystemCallFilter=ioctl\nSystemCallFilter=", false),
            ("SystemCallFilter=~ioctl", false),
        ] {
            let filters = sandbox(settings).filters;
            assert_eq!(refuses(&filters, "capset", &groups), refused, "{settings}");
        }
        let allowing = ["ioctl".to_owned()];
        assert!(
            !refuses(&allowing, "execve", &groups),
            "@default is always allowed"
        );
    }
}
