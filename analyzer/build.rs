//! Lists the rule files under `rules/`, so that the program carries them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=rules");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?)
        .join("rules");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?)
        .join("built_in_rules.rs");
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    let mut names: Vec<(String, String)> = files
        .iter()
        .map(|file| {
            let inner = file.strip_prefix(&root).unwrap_or(file);
            let parts: Vec<_> = inner.iter().map(|part| part.to_string_lossy()).collect();
            (parts.join("/"), file.to_string_lossy().into_owned())
        })
        .collect();
    names.sort();
    let mut list = String::from("const BUILT_IN: &[(&str, &str)] = &[\n");
    for (name, path) in names {
        // Writing to a String cannot fail.
        let _ = writeln!(list, "    ({name:?}, include_str!({path:?})),");
    }
    list.push_str("];\n");
    fs::write(out, list)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yml") {
            files.push(path);
        }
    }
    Ok(())
}
