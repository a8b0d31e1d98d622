// SPDX-License-Identifier: GPL-2.0

//! Functions of the kernel, by their addresses.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;

const PATH: &str = "/proc/kallsyms";

/// Start addresses of all functions of the kernel, with the names of the project's functions in
/// the kernel and the module.
pub(crate) struct Symbols(BTreeMap<u64, Option<String>>);

impl Symbols {
    pub(crate) fn load() -> Self {
        let text = fs::read_to_string(PATH).unwrap_or_else(|error| panic!("{PATH}: {error}"));
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let symbols = text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            let address = u64::from_str_radix(words.next()?, 16).ok()?;
            let is_function = matches!(words.next()?, "t" | "T");
            let name = words.next()?;
            // Generic functions of other Rust crates are part of the module.
            let module = words.next().unwrap_or_default();
            let is_ours = name.contains("go_sched") || module == "[go_sched_class]";
            // The padding before a function is never executed.
            let is_padding = name.starts_with("__pfx_");
            let ours = (is_function && is_ours && !is_padding).then(|| name.to_owned());
            Some((address, ours))
        });
        // Of several functions at one address, the project's counts.
        let mut functions = BTreeMap::new();
        for (address, name) in symbols {
            let known: &mut Option<String> = functions.entry(address).or_default();
            *known = known.take().or(name);
        }
        Self(functions)
    }

    /// Counts the addresses that are in the project's functions.
    pub(crate) fn count<'a>(&self, addresses: impl IntoIterator<Item = &'a u64>) -> usize {
        let addresses = addresses.into_iter();
        addresses.filter_map(|address| self.find(*address)).count()
    }

    /// Returns the project's functions in which none of the addresses is.
    pub(crate) fn unreached<'a>(
        &self,
        addresses: impl IntoIterator<Item = &'a u64>,
    ) -> BTreeSet<&str> {
        let mut functions: BTreeSet<_> = self.0.values().flatten().map(|name| &**name).collect();
        for address in addresses {
            if let Some(name) = self.find(*address) {
                functions.remove(name);
            }
        }
        functions
    }

    fn find(&self, address: u64) -> Option<&str> {
        let (_, name) = self.0.range(..=address).next_back()?;
        name.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::Symbols;

    const TEXT: &str = "\
        1000 T schedule\n\
        1100 t __pfx_go_sched_set\n\
        1110 T go_sched_set\n\
        1200 t update_curr\n\
        1300 d go_sched_rwsem\n\
        f000 t ioctl\t[go_sched_class]\n\
        f100 t other\t[other]\n";

    #[test]
    fn an_address_belongs_to_the_function_before_it() {
        let symbols = Symbols::parse(TEXT);
        assert_eq!(symbols.find(0x10ff), None);
        assert_eq!(symbols.find(0x1108), None);
        assert_eq!(symbols.find(0x1110), Some("go_sched_set"));
        assert_eq!(symbols.find(0x11ff), Some("go_sched_set"));
        assert_eq!(symbols.find(0x1300), None);
        assert_eq!(symbols.find(0xf010), Some("ioctl"));
        assert_eq!(symbols.find(0xf100), None);
    }

    #[test]
    fn a_function_without_an_address_is_told() {
        let symbols = Symbols::parse(TEXT);
        assert_eq!(symbols.count(&[0x1000, 0x1110, 0x1111]), 2);
        assert!(symbols.unreached(&[0x1110]).iter().eq(&["ioctl"]));
    }
}
