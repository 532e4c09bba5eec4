//! Who created whom, as the headers and documents of recordings say it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;

use saigen_analyzer::import::{At, Finding, ImportError, Sink, Skipped, json, text};
use saigen_analyzer::reference::{EventRef, SourceId};
use saigen_analyzer::replay::{Processes, Replay, UnitId};
use saigen_schemas::event::Event;
use serde_json::Value as Json;

use super::shared;

/// Applies what a reader tells at once. The readers of one file tell it in order.
struct Applied {
    replay: Replay,
    count: u32,
}

impl Sink for Applied {
    fn event(&mut self, _: At, event: &Event<'_>) -> Result<(), ImportError> {
        let reference = EventRef::frame(SourceId(1), 1, self.count);
        self.count += 1;
        self.replay.apply(reference, event);
        Ok(())
    }
    fn skip(&mut self, _: At, _: Skipped) {}
    fn find(&mut self, _: Finding) {}
}

fn replayed(path: &str) -> Option<Processes> {
    let bytes = fs::read(shared(path)?).expect("it can be read");
    let is_json = bytes.trim_ascii_start().starts_with(b"{");
    let mut applied = Applied {
        replay: Replay::new(),
        count: 0,
    };
    let input = &mut Cursor::new(bytes);
    if is_json {
        json::read(input, &mut applied).expect("memory can be read");
    } else {
        text::read(input, &mut applied).expect("memory can be read");
    }
    Some(applied.replay.into_processes())
}

/// The last process of a pid.
fn unit_of(processes: &Processes, pid: u32) -> Option<UnitId> {
    processes
        .unit_ids()
        .filter(|&unit| processes.pid(unit) == Some(pid))
        .last()
}

fn parent_of(processes: &Processes, pid: u32) -> Option<u32> {
    processes.pid(processes.parent(unit_of(processes, pid)?)?)
}

/// Command lines of all programs that a pid ran.
fn lines_of(processes: &Processes, pid: u32) -> Vec<String> {
    processes
        .unit_ids()
        .filter(|&unit| processes.pid(unit) == Some(pid) && processes.runs_own_program(unit))
        .filter_map(|unit| {
            let facts = processes.facts(unit)?;
            let line = facts.args.map(|args| args.command_line());
            let line = line.or_else(|| Some(facts.command_line?.0.to_vec()))?;
            Some(String::from_utf8_lossy(&line).into_owned())
        })
        .collect()
}

/// The ground truth of a recording, by the name of its file.
fn truth(recording: &str) -> Option<Json> {
    let folder = fs::read_dir(shared("ground_truth")?).expect("it can be read");
    folder
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .map(|path| fs::read(path).expect("it can be read"))
        .map(|bytes| serde_json::from_slice(&bytes).expect("truths are JSON"))
        .find(|truth: &Json| {
            let inputs = [&truth["input"], &truth["inputs"][0]];
            inputs.iter().any(|input| input["file"] == recording)
        })
}

#[test]
fn a_shells_pipeline_is_the_tree_that_its_recorder_drew() {
    let Some(truth) = truth("shell-proc-trace.txt") else {
        return;
    };
    for file in ["shell-proc-trace.txt", "shell-proc-trace-reordered.txt"] {
        let Some(processes) = replayed(&format!("linux/laurel/{file}")) else {
            return;
        };
        let tree = truth["expected_tree"].as_object().unwrap();
        for (pid, node) in tree {
            let pid: u32 = pid.parse().unwrap();
            assert!(unit_of(&processes, pid).is_some(), "{file}: {pid}");
            for child in node["children"].as_array().unwrap() {
                let child: u32 = child.as_str().unwrap().parse().unwrap();
                assert_eq!(parent_of(&processes, child), Some(pid), "{file}: {child}");
            }
            for exec in node["exec"].as_array().unwrap() {
                // The header draws `grep bar` where the record says `grep baz`: the program counts.
                let program = exec.as_str().unwrap().split(' ').next().unwrap();
                let lines = lines_of(&processes, pid);
                assert!(
                    lines.iter().any(|line| line.contains(program)),
                    "{file}: {pid} {program} {lines:?}"
                );
            }
        }
    }
}

#[test]
fn a_pid_that_was_anothers_a_moment_ago_is_the_later_process() {
    let Some(processes) = replayed("linux/laurel/shell-proc-trace-confusion.txt") else {
        return;
    };
    // The header: `id` ran below the shell of pid 2655, and not below the `rm` that had that pid.
    let asker = processes
        .unit_ids()
        .find(|&unit| {
            processes
                .facts(unit)
                .and_then(|facts| facts.args)
                .is_some_and(|args| args.iter().next().is_some_and(|arg| arg.0 == b"id"))
        })
        .expect("the program that the header speaks of");
    let parent = processes.parent(asker).unwrap();
    let facts = processes.facts(parent).unwrap();
    assert_eq!(facts.key.pid, 2655);
    // The shell ran another program in the same millisecond.
    let image = facts.image.unwrap().lossy();
    assert!(["/bin/tcsh", "/usr/bin/gawk"].contains(&&*image), "{image}");
    assert_eq!(processes.pid(processes.parent(parent).unwrap()), Some(2542));
}

#[test]
fn who_lost_its_parent_keeps_it() {
    let Some(processes) = replayed("linux/laurel/fork-sleep-exec.txt") else {
        return;
    };
    assert_eq!(parent_of(&processes, 1_578_540), Some(1_578_539));
    assert_eq!(parent_of(&processes, 1_578_541), Some(1_578_540));
    let ran = processes
        .facts(unit_of(&processes, 1_578_540).unwrap())
        .unwrap();
    assert_eq!(ran.image.unwrap().lossy(), "/usr/bin/true");
}

#[test]
fn every_process_of_the_backdoor_stands_below_its_parent() {
    let (Some(truth), Some(processes)) = (
        truth("bpfdoor.jsonl"),
        replayed("linux/kunai/bpfdoor.jsonl"),
    ) else {
        return;
    };
    let malicious = truth["malicious_processes"].as_array().unwrap();
    for process in malicious {
        let number = |name: &str| u32::try_from(process[name].as_u64().unwrap()).unwrap();
        let (pid, parent) = (number("pid"), number("ppid_first"));
        assert_eq!(parent_of(&processes, pid), Some(parent), "{pid}");
        if let Some(line) = process["cmd"].as_str() {
            let lines = lines_of(&processes, pid);
            assert!(lines.iter().any(|own| own == line), "{pid}: {lines:?}");
        }
    }
    let by_pid: BTreeMap<u32, usize> = processes
        .unit_ids()
        .filter_map(|unit| Some((processes.pid(unit)?, 1)))
        .collect();
    assert!(by_pid.len() >= malicious.len());
}

#[test]
fn scanning_script_is_read_to_the_last_start() {
    let Some(processes) = replayed("linux/sysmonforlinux/linpeas.xml.txt") else {
        return;
    };
    let started = processes
        .unit_ids()
        .filter(|&unit| processes.runs_own_program(unit))
        .count();
    assert!(started >= 100, "{started}");
}
