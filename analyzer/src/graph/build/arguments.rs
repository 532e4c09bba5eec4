//! Arguments that name files: what a process reads, as far as its command line can say.

use saigen_schemas::event::Text;

use crate::graph::build::{GraphBuilder, Says, Scene};
use crate::graph::places::file_name;
use crate::graph::{Ground, NodeId, Verb};
use crate::replay::UnitId;

/// Most arguments of a process that are looked at as names of files.
const ARGS_MAX: usize = 64;

/// The longest path that a system call takes, `path_resolution(7)`.
const PATH_MAX: usize = 4096;

/// Programs that take names of files and do not read what is in them.
const NOT_READERS: [&[u8]; 17] = [
    b"rm", b"unlink", b"rmdir", b"chmod", b"chown", b"chgrp", b"touch", b"mkdir", b"ls", b"stat",
    b"test", b"[", b"ln", b"mv", b"echo", b"printf", b"find",
];

impl GraphBuilder {
    /// Files that the arguments of a process name, and that were written since recording began:
    /// it reads them, as far as arguments can say.
    pub(super) fn names_files(&mut self, scene: &Scene<'_>, unit: UnitId, node: NodeId) {
        let Some(facts) = scene.replay.facts(unit) else {
            return;
        };
        let Some(args) = facts.args else {
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
            if is_output || arg.0.len() > PATH_MAX {
                continue;
            }
            let mut path = std::mem::take(&mut self.scratch);
            path_of(cwd.0, arg.0, &mut path);
            let file = self.changed_file_at(facts.host, &path);
            self.scratch = path;
            if let Some(file) = file.and_then(|file| self.file_node(file)) {
                let says = Says {
                    verb: Verb::Read,
                    ground: Ground::Arguments,
                };
                self.link(scene, file, node, says);
            }
        }
    }
}

/// Whether the next argument names what is written.
fn is_output_option(arg: Text<'_>) -> bool {
    matches!(
        arg.0,
        b"-o" | b"-O" | b"--output" | b"-of" | b"--output-document"
    )
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
