//! Rule files on disk: folders of SigmaHQ's layout, read whole and in a fixed order.
//!
//! Rules are no evidence: this is the only place of the meaning wing that opens files.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::detect::{Engine, Placeholders, Refusal, RuleText, built_in};

/// The largest rule file that is read, and one byte more to notice that it is larger.
const FILE_BYTES_MAX: u64 = (1 << 20) + 1;

/// How deep folders are followed.
const DEPTH_MAX: usize = 32;

/// The most files of one folder and all below it.
const FILES_MAX: usize = 200_000;

/// The rules of a folder: texts, and files that could not be read.
#[derive(Clone, Debug, Default)]
pub struct RuleFolder {
    /// Texts by their path below the folder, in the order of that path.
    pub texts: Vec<RuleText>,
    /// Files and folders that could not be read.
    pub refused: Vec<Refusal>,
}

/// Whether the rules that the program carries are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pack {
    /// They are.
    BuiltIn,
    /// Only those of the folders are.
    Without,
}

/// Reads the built-in rules and those of folders, in this order, to an engine.
///
/// Files are called by the last part of their folder's path and their path below it.
///
/// # Errors
///
/// If a folder itself cannot be read. What is wrong with a file is a refusal of the engine.
pub fn load_rules(
    pack: Pack,
    folders: &[PathBuf],
    placeholders: &Placeholders,
) -> io::Result<Engine> {
    let mut texts: Vec<RuleText> = match pack {
        Pack::BuiltIn => built_in().collect(),
        Pack::Without => Vec::new(),
    };
    let mut refused = Vec::new();
    for path in folders {
        let mut read = read_folder(path)?;
        if path.is_dir() {
            let top = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            read.texts
                .iter_mut()
                .for_each(|text| text.name = format!("{top}/{}", text.name));
            read.refused
                .iter_mut()
                .for_each(|refusal| refusal.file = format!("{top}/{}", refusal.file));
        }
        texts.append(&mut read.texts);
        refused.append(&mut read.refused);
    }
    let mut engine = Engine::new(texts, placeholders);
    engine.add_refusals(refused);
    Ok(engine)
}

/// Reads a rule file, or all files `*.yml` and `*.yaml` below a folder. Symbolic links to folders
/// are not followed.
///
/// # Errors
///
/// Only if the path itself cannot be read; a file below it that cannot is a refusal.
pub fn read_folder(path: &Path) -> io::Result<RuleFolder> {
    let mut folder = RuleFolder::default();
    if fs::metadata(path)?.is_file() {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        read_file(path, name, &mut folder);
        return Ok(folder);
    }
    let mut files = Vec::new();
    walk(path, path, 0, &mut files, &mut folder.refused)?;
    files.sort();
    for (name, file) in files {
        read_file(&file, name, &mut folder);
    }
    Ok(folder)
}

fn walk(
    root: &Path,
    folder: &Path,
    depth: usize,
    files: &mut Vec<(String, PathBuf)>,
    refused: &mut Vec<Refusal>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        let name = inner_name(root, &path);
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if depth >= DEPTH_MAX {
                refused.push(refusal(
                    name,
                    format!("folders more than {DEPTH_MAX} deep are not followed"),
                ));
            } else if let Err(error) = walk(root, &path, depth + 1, files, refused) {
                refused.push(refusal(name, error.to_string()));
            }
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yml" || extension == "yaml")
        {
            if files.len() >= FILES_MAX {
                refused.push(refusal(name, format!("more than {FILES_MAX} rule files")));
                return Ok(());
            }
            files.push((name, path));
        }
    }
    Ok(())
}

/// The path below the root with `/` between its parts, whatever the system.
fn inner_name(root: &Path, path: &Path) -> String {
    let inner = path.strip_prefix(root).unwrap_or(path);
    inner
        .iter()
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join("/")
}

fn read_file(path: &Path, name: String, folder: &mut RuleFolder) {
    let mut bytes = Vec::new();
    let read =
        fs::File::open(path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes));
    let text = read.map_err(|error| error.to_string()).and_then(|_| {
        String::from_utf8(bytes)
            .map_err(|error| format!("byte {} is no UTF-8", error.utf8_error().valid_up_to()))
    });
    match text {
        Ok(text) => folder.texts.push(RuleText { name, text }),
        Err(reason) => folder.refused.push(refusal(name, reason)),
    }
}

fn refusal(file: String, reason: String) -> Refusal {
    Refusal {
        file,
        title: None,
        reason,
    }
}

/// Reads placeholder values: one `name: value` a line, a name may have several lines; empty lines
/// and lines that begin with `#` are left out.
///
/// # Errors
///
/// Names the line that has no colon, or says why the file cannot be read.
pub fn read_placeholders(path: &Path) -> io::Result<Placeholders> {
    let mut given = Placeholders::new();
    for (index, line) in fs::read_to_string(path)?.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((name, value)) = line.split_once(':') else {
            let reason = format!("line {}: expected `name: value`", index + 1);
            return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
        };
        given
            .entry(name.trim().trim_matches('%').to_owned())
            .or_default()
            .push(value.trim().to_owned());
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_whole_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        write("b/z.yml", b"title: z");
        write("b/a.yaml", b"title: a");
        write("a.yml", b"title: first");
        write("notes.txt", b"no rule");
        write("c.yml", b"title: \xff");
        let read = read_folder(folder.path()).unwrap();
        let names: Vec<&str> = read.texts.iter().map(|text| text.name.as_str()).collect();
        assert_eq!(names, ["a.yml", "b/a.yaml", "b/z.yml"]);
        assert_eq!(
            read.refused,
            [refusal("c.yml".into(), "byte 7 is no UTF-8".into())]
        );
        let single = read_folder(&folder.path().join("b/z.yml")).unwrap();
        assert_eq!(single.texts[0].name, "z.yml");
        assert!(read_folder(&folder.path().join("none")).is_err());
    }

    #[test]
    fn rules_of_folders_stand_behind_the_built_in_ones_and_refusals_name_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let mine = folder.path().join("mine");
        fs::create_dir(&mine).unwrap();
        let rule = "title: Mine\nlogsource:\n    product: linux\ndetection:\n    s:\n        a: b\n    condition: s\n";
        fs::write(mine.join("good.yml"), rule).unwrap();
        fs::write(mine.join("bad.yml"), b"title: \xff").unwrap();
        let engine = load_rules(
            Pack::Without,
            std::slice::from_ref(&mine),
            &Placeholders::new(),
        )
        .unwrap();
        let files: Vec<&str> = engine.rules().map(|rule| rule.file.as_str()).collect();
        assert_eq!(files, ["mine/good.yml"]);
        assert_eq!(engine.counts().refused[0].file, "mine/bad.yml");
        let both = load_rules(Pack::BuiltIn, &[mine], &Placeholders::new()).unwrap();
        assert_eq!(both.counts().loaded, built_in_count() + 1);
    }

    fn built_in_count() -> usize {
        Engine::new(built_in(), &Placeholders::new())
            .counts()
            .loaded
    }

    #[test]
    fn placeholder_files_name_their_broken_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("values");
        fs::write(&path, "# hosts\ndc: DC01\n%dc%: DC02\n").unwrap();
        assert_eq!(read_placeholders(&path).unwrap()["dc"], ["DC01", "DC02"]);
        fs::write(&path, "\nbroken").unwrap();
        assert!(
            read_placeholders(&path)
                .unwrap_err()
                .to_string()
                .contains("line 2")
        );
    }
}
