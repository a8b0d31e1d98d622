// SPDX-License-Identifier: GPL-2.0

//! The files that a service consists of, and their order: see "Unit File Load Path" in
//! systemd.unit(5).
//!
//! `systemctl cat` needs a running systemd, and knows what that has loaded, not what it
//! will load after `systemctl daemon-reload`. `systemd-analyze cat-config` knows neither
//! aliases nor drop-ins of prefixes.

use std::collections::BTreeMap;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use super::syntax::is_readable;
use super::syntax::settings;
use super::system::System;
use crate::error::ServiceError;

/// Ending of the names of services.
const SUFFIX: &str = ".service";
/// Number of links that systemd follows from one name to the next.
const MAX_LINKS: usize = 8;

/// A file of a service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    /// Path below the root directory of the system.
    pub(crate) path: PathBuf,
    /// Settings of `[Service]`, in their order.
    pub(crate) settings: Vec<(String, String)>,
}

/// A service as systemd loads it.
#[derive(Debug)]
pub(crate) struct Sources {
    /// Name of the service that aliases stand for.
    pub(crate) id: String,
    /// Unit file, if there is one, and drop-ins, each of which overrides those before.
    pub(crate) files: Vec<Source>,
}

/// The thing that a name in a folder of units stands for.
enum Entry {
    Alias(String),
    File(PathBuf),
}

impl System {
    /// Returns what all names of services stand for.
    fn entries(&self) -> Result<BTreeMap<String, Entry>, ServiceError> {
        let mut entries = BTreeMap::new();
        for folder in &self.folders {
            for (name, link) in self.list(folder)? {
                if !name.ends_with(SUFFIX) || entries.contains_key(&name) {
                    continue;
                }
                // systemd looks for a file behind a folder of this name.
                let is_file = |path: &Path| -> Result<_, ServiceError> {
                    Ok(self.metadata(path)?.is_some_and(|found| found.is_file()))
                };
                if link.is_none() && !is_file(&folder.join(&name))? {
                    continue;
                }
                let target = link.map(|link| normal(&folder.join(link)));
                let alias = target
                    .filter(|target| self.folders.iter().any(|folder| target.starts_with(folder)))
                    .and_then(|target| Some(target.file_name()?.to_str()?.to_owned()));
                let entry = match alias {
                    Some(alias) if !may_alias(&name, &alias) => continue,
                    Some(alias) => Entry::Alias(alias),
                    // A link to elsewhere is a unit file of this name.
                    None => Entry::File(folder.join(&name)),
                };
                entries.insert(name, entry);
            }
        }
        Ok(entries)
    }

    /// Returns the files of `service`, such as `foo.service`, without the drop-ins whose
    /// names `leave_out` has.
    pub(super) fn sources(
        &self,
        service: &str,
        leave_out: &[&str],
    ) -> Result<Sources, ServiceError> {
        let entries = self.entries()?;
        let of_name = |name: &str| fragment(&entries, name);
        let found = of_name(service).or_else(|| of_name(&template(service)?));
        let no_unit = || ServiceError::NoUnit {
            service: service.to_owned(),
            place: match self.path == Path::new("/") {
                true => "on this system".to_owned(),
                false => format!("below {}", self.path.display()),
            },
        };
        let path = found.ok_or_else(no_unit)?;
        let text = self.read(path)?;
        if text.is_empty() {
            return Err(ServiceError::Masked {
                service: service.to_owned(),
                path: path.to_owned(),
            });
        }
        if !is_readable(&text) {
            return Err(ServiceError::Malformed {
                service: service.to_owned(),
                path: path.to_owned(),
            });
        }
        let base = path.file_name().and_then(|name| name.to_str());
        let id = instantiated(base.unwrap_or(service), service);

        let mut names = vec![id.clone(), service.to_owned()];
        for name in entries.keys().filter(|name| of_name(name) == Some(path)) {
            let name = instantiated(name, service);
            // An instance may have a file of its own.
            if instance(&name) == instance(service) && of_name(&name).is_none_or(|own| own == path)
            {
                names.push(name);
            }
        }
        let mut folders = Vec::new();
        for name in &names {
            for folder in &self.folders {
                folders.extend(
                    families(name)
                        .iter()
                        .map(|name| folder.join(format!("{name}.d"))),
                );
            }
        }
        folders.extend(self.folders.iter().map(|folder| folder.join("service.d")));
        // Of several with the same name, systemd takes the first. It sorts them by name.
        let mut drop_ins = BTreeMap::new();
        for folder in folders {
            for (name, _) in self.list(&folder)? {
                let is_drop_in = name.ends_with(".conf") && !name.starts_with('.');
                if is_drop_in && !leave_out.contains(&&*name) {
                    let path = folder.join(&name);
                    drop_ins.entry(name).or_insert(path);
                }
            }
        }
        let mut files = vec![Source {
            path: path.to_owned(),
            settings: settings(&text),
        }];
        for path in drop_ins.into_values() {
            files.push(Source {
                settings: settings(&self.read(&path)?),
                path,
            });
        }
        Ok(Sources { id, files })
    }
}

/// Returns the unit file that a name leads to.
fn fragment<'a>(entries: &'a BTreeMap<String, Entry>, name: &str) -> Option<&'a Path> {
    let mut entry = entries.get(name)?;
    for _ in 0..MAX_LINKS {
        match entry {
            Entry::File(path) => return Some(path),
            Entry::Alias(name) => {
                entry = entries
                    .get(name)
                    .or_else(|| entries.get(&template(name)?))?;
            }
        }
    }
    None
}

/// Returns a path without its "." and "..".
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => (),
            other => normal.push(other),
        }
    }
    normal
}

/// Returns the instance of a service, "" of a template, and `None` of others.
fn instance(service: &str) -> Option<&str> {
    let (_, instance) = service.strip_suffix(SUFFIX)?.split_once('@')?;
    Some(instance)
}

/// Returns the template of an instance.
fn template(service: &str) -> Option<String> {
    instance(service).filter(|instance| !instance.is_empty())?;
    let (prefix, _) = service.split_once('@')?;
    Some(format!("{prefix}@{SUFFIX}"))
}

/// Returns the name of a service; of a template, its instance for the instance `service`.
fn instantiated(name: &str, service: &str) -> String {
    match (instance(name), instance(service)) {
        (Some(""), Some(instance)) => name.replacen('@', &format!("@{instance}"), 1),
        _ => name.to_owned(),
    }
}

/// Returns whether a link from the name `alias` to `name` is an alias.
fn may_alias(alias: &str, name: &str) -> bool {
    let (from, to) = (instance(alias), instance(name));
    let same_kind = from == to || (from.is_some_and(|from| !from.is_empty()) && to == Some(""));
    name.ends_with(SUFFIX) && alias != name && same_kind
}

/// Returns the names whose drop-ins `service` has, first its own: that of the template,
/// and the prefixes that end with a dash, which have the same instance.
fn families(service: &str) -> Vec<String> {
    let mut names = vec![service.to_owned()];
    names.extend(
        template(service)
            .iter()
            .flat_map(|template| families(template)),
    );
    let end = service.find('@').unwrap_or(service.len() - SUFFIX.len());
    let (prefix, suffix) = service.split_at(end);
    let longer = prefix.strip_suffix('-').unwrap_or(prefix);
    if let Some(dash) = longer.rfind('-').filter(|dash| *dash > 0) {
        names.extend(families(&format!("{}{suffix}", &prefix[..=dash])));
    }
    names
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    use snapbox::cmd::Command;
    use tempfile::TempDir;

    use super::*;

    const SERVICE: &str = "[Service]\nType=oneshot\nExecStart=/bin/true\n";

    /// A system with these unit files and drop-ins, of which `PATH -> TARGET` is a link.
    fn system(files: &[&str]) -> TempDir {
        let root = tempfile::tempdir().expect("a temporary directory");
        for file in files {
            let (path, target) = file.split_once(" -> ").unwrap_or((file, ""));
            let path = root.path().join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            match target {
                "" => fs::write(&path, SERVICE).expect("a file"),
                _ => symlink(target, &path).expect("a link"),
            }
        }
        root
    }

    /// Returns the files that the command reads of `service`.
    fn read(root: &Path, service: &str) -> Vec<PathBuf> {
        let system = System::open(root).expect("a system");
        let sources = system.sources(service, &[]).expect("a service");
        sources.files.into_iter().map(|file| file.path).collect()
    }

    /// Returns the files that systemd itself reads of the unit file `unit`.
    fn read_by_systemd(root: &Path, unit: &str) -> Vec<PathBuf> {
        let output = Command::new("systemd-analyze")
            .args(["verify", "--man=no", "--recursive-errors=no", "--root"])
            .arg(root)
            .arg(unit)
            .env("SYSTEMD_LOG_LEVEL", "debug")
            .current_dir(root)
            .timeout(Duration::from_secs(300))
            .output()
            .expect("systemd-analyze is missing: install the package systemd");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.lines()
            .filter_map(|line| {
                let line = line.trim();
                line.strip_prefix("Fragment Path: ")
                    .or_else(|| line.strip_prefix("DropIn Path: "))
            })
            .map(|path| {
                Path::new("/").join(
                    Path::new(path)
                        .strip_prefix(root)
                        .expect("a path below the root"),
                )
            })
            .collect()
    }

    #[test]
    fn the_files_of_a_service_are_those_that_systemd_reads() {
        let files = [
            "/etc/systemd/system/app-web-1.service",
            "/usr/lib/systemd/system/app-web-1.service",
            // A folder, and no unit file.
            "/etc/systemd/system.control/app-web-1.service/50-none.conf",
            "/etc/systemd/system/service.d/05-all.conf",
            "/etc/systemd/system/app-.service.d/10-prefix.conf",
            "/usr/lib/systemd/system/app-web-.service.d/09-prefix.conf",
            "/usr/lib/systemd/system/app-web-.service.d/60-prefix.conf",
            "/etc/systemd/system/app-web-1.service.d/20-same.conf",
            "/run/systemd/system/app-web-1.service.d/20-same.conf",
            "/etc/systemd/system/service.d/20-same.conf",
            "/usr/lib/systemd/system/app-web-1.service.d/30-masked.conf",
            "/etc/systemd/system/app-web-1.service.d/30-masked.conf -> /dev/null",
            "/etc/systemd/system/app-web-1.service.d/.40-hidden.conf",
            "/etc/systemd/system/app-web-1.service.d/40-no-drop-in.conf~",
            "/run/systemd/system/app-web-1.service.d/override.conf",
            "/etc/systemd/system.control/app-web-1.service.d/50-AllowedCPUs.conf",
            "/etc/systemd/system/web.service -> /usr/lib/systemd/system/app-web-1.service",
            "/etc/systemd/system/site.service -> web.service",
            "/etc/systemd/system/web.service.d/70-alias.conf",
            "/etc/systemd/system/site.service.d/80-alias.conf",
            "/etc/systemd/system/other.service -> /usr/lib/systemd/system/none.service",
            "/etc/systemd/system/other.service.d/90-other.conf",
        ];
        let root = system(&files);
        let expected = read_by_systemd(root.path(), "etc/systemd/system/app-web-1.service");
        assert_eq!(expected.len(), 11, "{expected:?}");
        for name in ["app-web-1.service", "web.service", "site.service"] {
            assert_eq!(read(root.path(), name), expected, "{name}");
        }
    }

    #[test]
    fn an_instance_has_the_files_that_systemd_reads() {
        let files = [
            "/etc/systemd/system/db-x@.service",
            "/etc/systemd/system/db-x@.service.d/20-template.conf",
            "/etc/systemd/system/db-x@main.service.d/30-instance.conf",
            "/etc/systemd/system/db-x@other.service.d/30-other.conf",
            "/etc/systemd/system/db-@.service.d/10-prefix.conf",
            "/etc/systemd/system/db-@main.service.d/15-prefix.conf",
            "/etc/systemd/system/store@.service -> db-x@.service",
            "/etc/systemd/system/store@main.service.d/40-alias.conf",
            "/etc/systemd/system/store@.service.d/50-alias.conf",
        ];
        let root = system(&files);
        let expected = read_by_systemd(root.path(), "etc/systemd/system/db-x@main.service");
        assert_eq!(expected.len(), 7, "{expected:?}");
        for name in ["db-x@main.service", "store@main.service"] {
            assert_eq!(read(root.path(), name), expected, "{name}");
        }
    }

    #[test]
    fn generated_transient_and_linked_units_are_read() {
        for unit in [
            "/run/systemd/generator/a.service",
            "/run/systemd/generator.early/a.service",
            "/run/systemd/generator.late/a.service",
            "/run/systemd/transient/a.service",
            "/etc/systemd/system.control/a.service",
            "/usr/local/lib/systemd/system/a.service",
        ] {
            let root = system(&[unit]);
            assert_eq!(read(root.path(), "a.service"), [Path::new(unit)]);
        }
        let root = system(&[
            "/etc/systemd/system/a.service -> /opt/b.service",
            "/opt/b.service",
        ]);
        let expected = [Path::new("/etc/systemd/system/a.service")];
        assert_eq!(read(root.path(), "a.service"), expected);
    }

    #[test]
    fn a_service_that_is_masked_or_leads_nowhere_is_told() {
        let root = system(&[
            "/usr/lib/systemd/system/a.service",
            "/etc/systemd/system/a.service -> /dev/null",
            "/etc/systemd/system/b.service -> c.service",
            "/etc/systemd/system/c.service -> b.service",
        ]);
        let system = System::open(root.path()).expect("a system");
        let error = system.sources("a.service", &[]).expect_err("it is masked");
        assert!(matches!(error, ServiceError::Masked { .. }), "{error}");
        for name in ["b.service", "d.service"] {
            let error = system.sources(name, &[]).expect_err("there is none");
            assert!(matches!(error, ServiceError::NoUnit { .. }), "{error}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_and_not_taken_for_empty() {
        // Links in a circle, which root cannot read either.
        const UNIT: &str = "/etc/systemd/system/a.service";
        for circle in [
            &["/etc/systemd/system/a.service -> /opt/a", "/opt/a -> a"][..],
            &[UNIT, "/etc/systemd/system/a.service.d/x.conf -> x.conf"],
            &[UNIT, "/etc/systemd/system/a.service.d -> a.service.d"],
            &[UNIT, "/usr/lib/systemd/system -> system"],
        ] {
            let root = system(circle);
            let system = System::open(root.path()).expect("a system");
            let error = system.sources("a.service", &[]).expect_err("unreadable");
            assert!(matches!(error, ServiceError::Unreadable(..)), "{error}");
        }
        let root = system(&[UNIT, "/etc/systemd/system/a.service.d/x.conf -> /opt/none"]);
        assert_eq!(read(root.path(), "a.service").len(), 2);
    }

    #[test]
    fn a_name_that_has_no_room_for_a_folder_of_drop_ins_has_none() {
        let name = format!("{}.service", "a".repeat(246));
        let root = system(&[&format!("/etc/systemd/system/{name}")]);
        assert_eq!(read(root.path(), &name).len(), 1);
    }
}
