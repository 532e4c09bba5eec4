//! The walls of the house: who may know whom.
//!
//! The sources are read as text, and every path that they name is held against the walls.

mod paths;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use paths::{Named, paths};

/// The stages from the replayed stream on, in their order. Each may know those before it.
const MEANING: [&str; 5] = ["replay", "graph", "detect", "reconstruct", "report"];
/// What the meaning wing may name of the evidence wing: how to point at an event.
const EVENT_TYPES: [&str; 1] = ["EventRef"];
/// Where both wings meet.
const MEETING_ROOMS: [&str; 3] = ["pipeline", "lib", "main"];
/// What makes a file, a clock or the system reachable, which the contract never is.
const OUTSIDE_WORLD: [&str; 20] = [
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "std::os",
    "std::time::SystemTime",
    "std::time::Instant",
    "std::time::*",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::net::*",
    "std::io::stdin",
    "std::io::stdout",
    "std::io::stderr",
    "SystemTime",
    "libc",
    "rustix",
    "chrono",
];

fn is_of(name: &Named, rooms: &[&str]) -> bool {
    rooms
        .iter()
        .any(|room| name.starts_with(&format!("crate::{room}")))
}

fn points_at_an_event(name: &Named) -> bool {
    name.path
        .last()
        .is_some_and(|last| EVENT_TYPES.contains(&last.as_str()))
}

/// What a source of `schemas` names against the contract.
fn contract_walls(named: &[Named]) -> Vec<String> {
    broken(
        named,
        &OUTSIDE_WORLD,
        "the contract knows no file, clock, socket or system",
    )
}

/// What a source of the analyzer names against the order of the stages; `module` is its
/// path in the crate.
fn judge_walls(module: &[&str], named: &[Named]) -> Vec<String> {
    let room = module.first().copied().unwrap_or("lib");
    let mut found = broken(
        named,
        &["saigen_collector"],
        "the judge does not know the witness",
    );
    for (owned, rooms) in [
        ("petgraph", &["graph"][..]),
        ("rusqlite", &["case"]),
        ("clap", &["cli", "main"]),
        ("memmap2", &["evidence"]),
    ] {
        if !rooms.contains(&room) {
            found.extend(broken(
                named,
                &[owned],
                &format!("{owned} is for {} alone", rooms.join(" and ")),
            ));
        }
    }
    if MEANING.contains(&room) {
        found.extend(meaning_walls(room, named));
    } else if room == "evidence" {
        let hits = named.iter().filter(|name| is_of(name, &MEANING));
        found.extend(hits.map(|name| told(name, "the evidence wing never interprets")));
    } else if !MEETING_ROOMS.contains(&room) {
        let bytes = named
            .iter()
            .find(|name| is_of(name, &["evidence"]) && !points_at_an_event(name));
        let meaning = named.iter().find(|name| is_of(name, &MEANING));
        if let (Some(name), Some(_)) = (bytes, meaning) {
            found.push(told(name, "only pipeline knows both wings"));
        }
    }
    found
}

fn meaning_walls(room: &str, named: &[Named]) -> Vec<String> {
    let mut found = Vec::new();
    let stage = MEANING.iter().position(|name| *name == room).unwrap_or(0);
    for (at, other) in MEANING.iter().enumerate() {
        if at > stage || (room == "report" && at < stage) {
            found.extend(broken(
                named,
                &[&format!("crate::{other}")],
                &format!("{room} does not know {other}"),
            ));
        }
    }
    let callers = ["crate::case", "crate::pipeline", "crate::cli", "crate::*"];
    found.extend(broken(
        named,
        &callers,
        &format!("{room} does not know who calls it"),
    ));
    let bytes = named
        .iter()
        .filter(|name| is_of(name, &["evidence"]) && !points_at_an_event(name));
    found.extend(bytes.map(|name| told(name, "the meaning wing does not touch evidence")));
    // `detect` reads rules from folders. Evidence is read by nobody in this wing.
    if room != "detect" {
        let system = [
            "std::fs",
            "std::os",
            "std::time::SystemTime",
            "std::time::Instant",
        ];
        found.extend(broken(
            named,
            &system,
            "the meaning wing opens no file and asks no clock",
        ));
    }
    found
}

fn broken(named: &[Named], forbidden: &[&str], rule: &str) -> Vec<String> {
    let hits = named
        .iter()
        .filter(|name| forbidden.iter().any(|front| name.starts_with(front)));
    hits.map(|name| told(name, rule)).collect()
}

fn told(name: &Named, rule: &str) -> String {
    format!("line {}: {}: {rule}", name.line, name.path.join("::"))
}

/// The names that a `Cargo.toml` depends on, for programs (not for tests).
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let (mut inside, mut found) = (false, BTreeSet::new());
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line
            .strip_prefix('[')
            .map(|rest| rest.trim_end_matches(']'))
        {
            inside = ["dependencies", "build-dependencies"].contains(&section)
                || (section.starts_with("target.") && section.ends_with(".dependencies"));
            found.extend(section.strip_prefix("dependencies.").map(str::to_owned));
        } else if inside && !line.starts_with('#') {
            let name = line.split(['=', '.', ' ']).next();
            found.extend(name.filter(|name| !name.is_empty()).map(str::to_owned));
        }
    }
    found
}

fn house() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package stands in the house")
}

/// The sources of a package, each with its module path. Files of tests alone are left out.
fn sources(package: &str) -> Vec<(PathBuf, Vec<String>)> {
    let root = house().join(package).join("src");
    let (mut folders, mut found) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a source folder can be read") {
            let path = entry.expect("a source folder can be read").path();
            let inside = path
                .strip_prefix(&root)
                .expect("it stands below its root")
                .with_extension("");
            let mut module: Vec<String> = inside
                .iter()
                .map(|part| part.to_string_lossy().into_owned())
                .collect();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs")
                && !module.iter().any(|part| part == "tests")
            {
                if module.last().is_some_and(|last| last == "mod") {
                    module.pop();
                }
                found.push((path, module));
            }
        }
    }
    found.sort();
    found
}

fn check(package: &str, walls: impl Fn(&[&str], &[Named]) -> Vec<String>) {
    let all = sources(package);
    assert!(
        !all.is_empty(),
        "{package} has no sources: its walls would hold of nothing"
    );
    let mut found = Vec::new();
    for (path, module) in &all {
        let module: Vec<&str> = module.iter().map(String::as_str).collect();
        let source = fs::read_to_string(path).expect("a source is text");
        let hits = walls(&module, &paths(&source, &module));
        found.extend(
            hits.into_iter()
                .map(|wall| format!("{}: {wall}", path.display())),
        );
    }
    assert!(found.is_empty(), "broken walls:\n{}", found.join("\n"));
}

#[test]
fn the_contract_knows_no_file_and_no_clock() {
    check("schemas", |_, named| contract_walls(named));
}

#[test]
fn the_judges_stages_know_only_those_before_them() {
    check("analyzer", judge_walls);
}

#[test]
fn the_witness_does_not_know_the_judge() {
    check("collector", |_, named| {
        broken(
            named,
            &["saigen_analyzer"],
            "the witness does not know the judge",
        )
    });
}

#[test]
fn packages_depend_downwards_only() {
    for (package, forbidden) in [
        (
            "schemas",
            &[
                "saigen-collector",
                "saigen-analyzer",
                "saigen-tests",
                "libc",
                "rustix",
                "clap",
                "chrono",
                "rusqlite",
                "petgraph",
            ][..],
        ),
        (
            "collector",
            &[
                "saigen-analyzer",
                "saigen-tests",
                "rusqlite",
                "petgraph",
                "memmap2",
                "askama",
            ],
        ),
        (
            "analyzer",
            &["saigen-collector", "saigen-tests", "perf-event-open-sys"],
        ),
    ] {
        let manifest = fs::read_to_string(house().join(package).join("Cargo.toml"))
            .expect("a package has a manifest");
        let named = dependencies(&manifest);
        let broken: Vec<&&str> = forbidden
            .iter()
            .filter(|name| named.contains(**name))
            .collect();
        assert!(broken.is_empty(), "{package} depends on {broken:?}");
    }
}

#[test]
fn a_forged_breach_is_seen() {
    let breaches =
        |module: &[&str], source: &str| judge_walls(module, &paths(source, module)).len();
    assert_eq!(breaches(&["graph"], "use crate::detect::Rule;"), 1);
    assert_eq!(
        breaches(
            &["graph", "edges"],
            "use super::super::{replay::Stream, detect::{self, Rule}};"
        ),
        2
    );
    assert_eq!(
        breaches(&["detect"], "fn f() { crate::reconstruct::go() }"),
        1
    );
    assert_eq!(breaches(&["detect"], "use petgraph::Graph;"), 1);
    assert_eq!(breaches(&["graph"], "use petgraph::Graph;"), 0);
    assert_eq!(breaches(&["pipeline"], "use clap::Parser;"), 1);
    assert_eq!(breaches(&["report"], "use rusqlite::{Connection};"), 1);
    assert_eq!(breaches(&["report", "html"], "use crate::graph::Node;"), 1);
    assert_eq!(
        breaches(&["replay"], "use crate::evidence::{EventRef, Frame};"),
        1
    );
    assert_eq!(
        breaches(&["evidence", "map"], "use crate::graph::Graph;"),
        1
    );
    assert_eq!(breaches(&["replay"], "use std::fs::File;"), 1);
    assert_eq!(breaches(&["replay"], "use crate::*;"), 1);
    assert_eq!(
        breaches(
            &["case"],
            "use crate::evidence::Map; use crate::graph::Graph;"
        ),
        1
    );
    assert_eq!(
        breaches(
            &["pipeline"],
            "use crate::evidence::Map; use crate::graph::Graph;"
        ),
        0
    );
}

#[test]
fn a_forged_clock_in_the_contract_is_seen() {
    let breaches = |source: &str| contract_walls(&paths(source, &["journal"])).len();
    assert_eq!(
        breaches("use std::{fs::File, time::{Duration, SystemTime}};"),
        2
    );
    assert_eq!(breaches("fn f() { let _ = std::time::Instant::now(); }"), 1);
    assert_eq!(breaches("use std::net::{IpAddr, TcpStream};"), 1);
    assert_eq!(breaches("use std::net::IpAddr; use std::io::Write;"), 0);
}

#[test]
fn words_that_are_not_code_break_no_wall() {
    let source = r##"//! std::fs
        /* crate::detect::x /* std::fs::y */ */
        const A: &str = "std::fs::read"; const B: &str = r#"use std::fs;"#;
        fn f<'a>(c: char) -> bool { c == '"' || c == '\'' }
        #[cfg(test)]
        mod tests { use std::fs; fn g() { std::fs::read("x"); } }
        use std::fs;"##;
    let found = contract_walls(&paths(source, &[]));
    assert_eq!(
        found,
        ["line 7: std::fs: the contract knows no file, clock, socket or system"]
    );
}

#[test]
fn a_forged_dependency_is_seen() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\nsaigen-analyzer.workspace = true\nlibc = \"0.2\"\n\
                    [target.'cfg(unix)'.dependencies]\nclap = { version = \"4\" }\n[dev-dependencies]\ntempfile = \"3\"\n";
    let named: Vec<String> = dependencies(manifest).into_iter().collect();
    assert_eq!(named, ["clap", "libc", "saigen-analyzer"]);
}
