// SPDX-License-Identifier: GPL-2.0

//! A command of `ExecStart=`, see "Command lines" in systemd.service(5).

use super::syntax::first_word;
use super::syntax::quoted;
use super::syntax::trim_start;

/// A command, which may also be several.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Command {
    /// Prefixes such as "-", which quotes may contain.
    pub(super) prefix: String,
    /// Path or name of the program, with specifiers, without quotes.
    program: String,
    /// Arguments, as the unit has them.
    arguments: String,
}

impl Command {
    /// Reads the value of `ExecStart=`; returns `None` for one that systemd refuses.
    pub(super) fn read(value: &str) -> Option<Self> {
        let (word, rest) = first_word(value)?;
        let program = word.trim_start_matches(['@', '-', ':', '+', '!', '|']);
        let mut arguments = rest;
        while !arguments.is_empty() {
            arguments = first_word(arguments)?.1;
        }
        (!program.is_empty()).then(|| Self {
            prefix: word[..word.len() - program.len()].to_owned(),
            program: program.to_owned(),
            arguments: rest.to_owned(),
        })
    }

    /// Returns the path or name of the program, with specifiers, without quotes.
    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// Returns the arguments as the unit has them.
    pub(super) fn arguments(&self) -> &str {
        &self.arguments
    }

    /// Returns the command without its prefixes, as arguments of another one with the
    /// same prefixes.
    pub(super) fn as_arguments(&self) -> String {
        // systemd replaces variables in arguments, unless ":" tells not to, and in the
        // first word never.
        let program = match self.prefix.contains(':') {
            true => self.program.clone(),
            false => self.program.replace('$', "$$"),
        };
        format!("{} {}", quoted(&program), self.arguments)
            .trim_end()
            .to_owned()
    }

    /// Returns whether systemd starts the command as root, whatever `User=` says.
    pub(super) fn is_as_root(&self) -> bool {
        // "!!" is for kernels without ambient capabilities.
        self.prefix.contains('+') || self.prefix.matches('!').count() == 1
    }

    /// Returns whether a `;` that is a word of its own separates commands. In quotes, or after a
    /// backslash, `;` is an argument.
    pub(super) fn is_several(&self) -> bool {
        let mut rest = &*self.arguments;
        while !rest.is_empty() {
            let after = rest.strip_prefix(';');
            if after.is_some_and(|after| after.is_empty() || trim_start(after) != after) {
                return true;
            }
            rest = first_word(rest).map_or("", |(_, rest)| rest);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Command {
        Command::read(value).unwrap_or_else(|| panic!("{value}"))
    }

    #[test]
    fn quotes_of_the_first_word_may_contain_its_prefixes() {
        for (value, prefix, arguments) in [
            ("/a \"b c\" $D %i", "", "/a \"b c\" $D %i"),
            ("-:/a b", "-:", "/a b"),
            ("\"-/a b\" c", "-", "\"/a b\" c"),
            ("-\"/a\" c", "-", "/a c"),
            (r"/a\x20b c", "", "\"/a b\" c"),
            ("'@/a'", "@", "/a"),
        ] {
            let command = read(value);
            assert_eq!(command.prefix, prefix, "{value}");
            assert_eq!(command.as_arguments(), arguments, "{value}");
        }
    }

    #[test]
    fn a_dollar_in_the_name_of_a_program_stays_one() {
        assert_eq!(read("/$A/b $C").as_arguments(), "/$$A/b $C");
        assert_eq!(read(":/$A/b $C").as_arguments(), "/$A/b $C");
    }

    #[test]
    fn what_systemd_refuses_is_no_command() {
        for value in ["\"/a", "/a 'b", "-", "\"\" b"] {
            assert_eq!(Command::read(value), None, "{value}");
        }
    }

    #[test]
    fn one_exclamation_mark_and_a_plus_start_the_command_as_root() {
        for (value, root) in [
            ("/a", false),
            ("-/a", false),
            ("+/a", true),
            ("!/a", true),
            ("!!/a", false),
        ] {
            assert_eq!(read(value).is_as_root(), root, "{value}");
        }
    }

    #[test]
    fn only_a_semicolon_of_its_own_separates_commands() {
        for several in [
            "/a ; /b",
            "/a \"b c\" ; /d",
            "/a ;",
            r"/a 'b\'' ; /c",
            "/a\t;\t/b",
        ] {
            assert!(read(several).is_several(), "{several}");
        }
        for one in [
            "/a",
            "/a;b",
            "/a ;b",
            "/a b; c",
            r#"/a -c "b ; c""#,
            "/a -c 'b ; c'",
            r#"/a "b' ; c""#,
            r#"/a "b \" ; c""#,
            r"/a \; -b",
        ] {
            assert!(!read(one).is_several(), "{one}");
        }
    }
}
