//! The program as others see it: exit codes, lines, and evidence that stays as it was.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use saigen_tests::forger;
use serde_json::Value;

use crate::maker::{Keys, Recorder, Sealing};

/// The newest build of a program.
pub fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(3).unwrap();
    let built = ["release", "debug"].map(|profile| target.join(profile).join(name));
    built
        .into_iter()
        .filter(|path| path.exists())
        .max_by_key(|path| fs::metadata(path).and_then(|facts| facts.modified()).ok())
        .unwrap_or_else(|| panic!("{name} is not built: cargo build --workspace --bins"))
}

fn program() -> PathBuf {
    built("saigen")
}

pub fn saigen(arguments: &[&str], folder: &Path) -> Output {
    Command::new(program())
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The one line on stderr.
fn line(output: &Output) -> String {
    let words = text(&output.stderr);
    assert_eq!(words.lines().count(), 1, "{words}");
    assert!(words.starts_with("saigen: "), "{words}");
    words
}

/// A folder with `journal` and `keys`.
fn court(sealing: Sealing) -> (tempfile::TempDir, Keys, Recorder) {
    let folder = tempfile::tempdir().unwrap();
    let story = Recorder::story(1, sealing);
    story.write(&folder.path().join("journal"));
    let keys = story.write_keys(&folder.path().join("keys"));
    (folder, keys, story)
}

#[test]
fn verdicts_have_their_exit_codes() {
    let (folder, _, story) = court(Sealing::Sealed);
    let at = folder.path();
    let intact = saigen(&["verify", "journal", "--key", "keys/auditor.key"], at);
    assert_eq!((code(&intact), text(&intact.stderr)), (0, String::new()));
    assert!(text(&intact.stdout).contains("intact"));
    let no_key = saigen(&["verify", "journal"], at);
    assert_eq!(code(&no_key), 0);
    assert!(line(&no_key).contains("unverified"));
    let last = at.join("journal/00000002.saj");
    fs::write(&last, &story.segments[1][..story.segments[1].len() - 1]).unwrap();
    let cut = saigen(&["verify", "journal", "--key", "keys/auditor.key"], at);
    assert_eq!(code(&cut), 1);
    assert!(line(&cut).contains("incomplete") && line(&cut).contains("00000002.saj"));
    fs::remove_file(&last).unwrap();
    let open = saigen(&["verify", "journal", "--key", "keys/auditor.key"], at);
    assert_eq!(code(&open), 0);
    assert!(line(&open).contains("open_end"));
}

#[test]
fn every_command_tells_of_damage_and_still_reads_the_rest() {
    let (folder, _, story) = court(Sealing::Unsealed);
    let path = folder.path().join("journal/00000001.saj");
    let mut bytes = story.segments[0].clone();
    let middle = bytes.len() / 2;
    forger::flip(&mut bytes, middle * 8);
    fs::write(&path, bytes).unwrap();
    let all: Vec<String> = {
        let output = saigen(&["events", "journal"], folder.path());
        assert_eq!(code(&output), 1);
        assert!(line(&output).contains("altered"));
        text(&output.stdout).lines().map(str::to_owned).collect()
    };
    assert!((4..8).contains(&all.len()), "{all:?}");
    for event in &all {
        let event: Value = serde_json::from_str(event).unwrap();
        assert!(event["ref"].as_str().unwrap().starts_with("e1:"));
    }
    for command in ["info", "tree", "replay", "hunt"] {
        assert_eq!(
            code(&saigen(&[command, "journal"], folder.path())),
            1,
            "{command}"
        );
    }
}

#[test]
fn what_cannot_be_judged_is_one_line_that_says_what_where_and_what_to_do() {
    let (folder, _, _) = court(Sealing::Sealed);
    let at = folder.path();
    fs::create_dir(at.join("empty")).unwrap();
    fs::write(at.join("notes.txt"), "no journal").unwrap();
    fs::write(at.join("nothing"), "").unwrap();
    Recorder::story(2, Sealing::Sealed).write_keys(&at.join("other"));
    let cases: [(&[&str], &str); 9] = [
        (&["verify", "absent"], "absent"),
        (&["verify", "empty"], "empty"),
        (&["verify", "notes.txt"], "notes.txt"),
        (&["info", "nothing"], "empty"),
        (&["events", "/dev/null"], "neither a file nor a folder"),
        (&["verify", "journal", "--key", "absent.key"], "absent.key"),
        (
            &["verify", "journal", "--key", "notes.txt"],
            "not a key file",
        ),
        (
            &["verify", "journal", "--key", "keys/endpoint.key"],
            "auditor.key",
        ),
        (
            &["verify", "journal", "--key", "other/auditor.key"],
            "enrolment",
        ),
    ];
    for (arguments, word) in cases {
        let output = saigen(arguments, at);
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(
            line(&output).contains(word),
            "{arguments:?}: {}",
            line(&output)
        );
    }
}

#[test]
fn evidence_is_the_same_afterwards_and_output_the_same_each_time() {
    let (folder, _, story) = court(Sealing::Sealed);
    let path = folder.path().join("journal/00000001.saj");
    let before = fs::metadata(&path).unwrap();
    let run = || {
        let output = saigen(
            &["verify", "journal", "--key", "keys/auditor.key", "--json"],
            folder.path(),
        );
        assert_eq!(code(&output), 0);
        text(&output.stdout)
    };
    let (first, second) = (run(), run());
    assert_eq!(first, second);
    assert!(
        !first.contains(&folder.path().display().to_string()),
        "no path of the machine"
    );
    let after = fs::metadata(&path).unwrap();
    assert_eq!(
        (before.modified().unwrap(), before.len()),
        (after.modified().unwrap(), after.len())
    );
    assert_eq!(fs::read(&path).unwrap(), story.segments[0]);
    let value: Value = serde_json::from_str(&first).unwrap();
    let evidence = &value["evidence"][0];
    assert_eq!(
        (&evidence["verdict"], &evidence["path"]),
        (&"intact".into(), &"journal".into())
    );
    assert_eq!(evidence["files"].as_array().unwrap().len(), 2);
    assert_eq!(evidence["frame_verdicts"][0]["verdict"], "intact");
}

#[test]
fn journals_in_a_folder_are_found_and_numbered_by_their_paths() {
    let folder = tempfile::tempdir().unwrap();
    for (byte, name) in [(1, "b/deep/journal"), (2, "a")] {
        Recorder::story(byte, Sealing::Unsealed).write(&folder.path().join(name));
    }
    let output = saigen(&["info", ".", "--json"], folder.path());
    assert_eq!(code(&output), 0);
    let value: Value = serde_json::from_str(&text(&output.stdout)).unwrap();
    let found: Vec<(&str, &str)> = value["evidence"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["id"].as_str().unwrap(), one["path"].as_str().unwrap()))
        .collect();
    assert_eq!(found, [("e1", "a"), ("e2", "b/deep/journal")]);
}

#[test]
fn events_are_filtered_and_counted() {
    let (folder, _, _) = court(Sealing::Unsealed);
    let count = |arguments: &[&str]| {
        let output = saigen(&[&["events", "journal"], arguments].concat(), folder.path());
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
        text(&output.stdout).lines().count()
    };
    assert_eq!(count(&[]), 8);
    assert_eq!(count(&["--where", "kind=process.start"]), 3);
    assert_eq!(
        count(&["--where", "kind=process.start", "--where", "image~/1$"]),
        1
    );
    assert_eq!(count(&["--where", "ref=e1:2:0"]), 1);
    assert_eq!(count(&["--limit", "2", "--format", "text"]), 2);
    let wrong = saigen(&["events", "journal", "--where", "imag=x"], folder.path());
    assert_eq!(code(&wrong), 2);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let folder = tempfile::tempdir().unwrap();
    let mut long = Recorder::new(1, Sealing::Unsealed);
    long.open();
    long.work(20_000);
    long.close();
    long.write(&folder.path().join("journal"));
    let mut child = Command::new(program())
        .args(["events", "journal"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn completions_and_manual_pages_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let bash = saigen(&["completions", "bash"], folder.path());
    assert!(code(&bash) == 0 && text(&bash.stdout).contains("verify"));
    assert_eq!(code(&saigen(&["man", "-o", "."], folder.path())), 0);
    let page = fs::read_to_string(folder.path().join("saigen-verify.1")).unwrap();
    assert!(page.contains("acquired"));
}
