//! Runs the judge over every truth that it is given and prints one table, in two halves.
//!
//! ```text
//! score_all --saigen PROGRAM --out FOLDER [--rules DIR] [--data FOLDER] [--benign INPUT]… TRUTH…
//! ```
//!
//! A `TRUTH` is a file of the schema `gt/1`, or a folder of such files; others in it are left out. Its
//! evidence is the journal beside it, or else the file of `--data` that the truth names by name or hash, also
//! inside an archive. A hash of the scenario's name alone decides into which half it falls: one to tune
//! on, the other to be looked at only in this table. What is given as `--benign` has no truth, and
//! no incident is expected of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// How often the program's memory is looked at while it runs.
const LOOK: Duration = Duration::from_millis(20);

struct Asked {
    saigen: PathBuf,
    out: PathBuf,
    data: Option<PathBuf>,
    rules: Vec<PathBuf>,
    benign: Vec<PathBuf>,
    truths: Vec<PathBuf>,
    half: Option<String>,
}

/// One scenario.
struct Scenario {
    id: String,
    truth: Option<PathBuf>,
    inputs: Vec<PathBuf>,
    key: Option<PathBuf>,
}

/// What one run said and cost.
struct Run {
    score: Value,
    report: Value,
    seconds: f64,
    peak_kib: u64,
}

fn main() {
    let asked = match asked() {
        Ok(asked) => asked,
        Err(why) => {
            eprintln!("{why}");
            std::process::exit(2);
        }
    };
    let mut halves: BTreeMap<&str, Vec<Scenario>> = BTreeMap::new();
    for scenario in scenarios(&asked) {
        let half = half_of(&scenario.id);
        if asked.half.as_deref().is_none_or(|only| only == half) {
            halves.entry(half).or_default().push(scenario);
        }
    }
    for half in ["tuned", "unseen"] {
        let Some(scenarios) = halves.get(half) else {
            continue;
        };
        println!("\n{half}:\n\n{}", HEAD.join("\n"));
        let mut rows = Vec::new();
        for scenario in scenarios {
            match run(&asked, scenario) {
                Ok(run) => {
                    println!("{}", row(&scenario.id, &run));
                    rows.push(run);
                }
                Err(why) => println!("| {} | {why} |", scenario.id),
            }
        }
        println!("{}", summary(&rows));
    }
    if !asked.benign.is_empty() {
        println!(
            "\nnothing malicious:\n\n| Evidence | Detections | Incidents by severity | Time, s | Peak, MiB |\n|---|---|---|---|---|"
        );
    }
    for input in &asked.benign {
        let name = file_name(input);
        let scenario = Scenario {
            id: format!("benign-{name}"),
            truth: None,
            inputs: vec![input.clone()],
            key: None,
        };
        match run(&asked, &scenario) {
            Ok(run) => println!("{}", benign_row(&name, &run)),
            Err(why) => println!("| {name} | {why} |"),
        }
    }
}

const HEAD: [&str; 2] = [
    "| Scenario | Wanted | Recall | Precision | Over all incidents | Entry | Told | Order | Edges | Hosts joined | Incidents: its, others (high) | On the page | Time, s | Peak, MiB |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
];

fn asked() -> Result<Asked, String> {
    let mut asked = Asked {
        saigen: PathBuf::from("saigen"),
        out: PathBuf::new(),
        data: None,
        rules: Vec::new(),
        benign: Vec::new(),
        truths: Vec::new(),
        half: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(format!("{word} needs a value"));
        match word.as_str() {
            "--saigen" => asked.saigen = value()?.into(),
            "--out" => asked.out = value()?.into(),
            "--data" => asked.data = Some(value()?.into()),
            "--rules" => asked.rules.push(value()?.into()),
            "--benign" => asked.benign.push(value()?.into()),
            "--half" => asked.half = Some(value()?),
            _ => asked.truths.push(word.into()),
        }
    }
    if asked.out.as_os_str().is_empty() {
        return Err("say with --out where the cases go".to_owned());
    }
    fs::create_dir_all(&asked.out).map_err(|error| error.to_string())?;
    Ok(asked)
}

/// The half of a scenario: by the last bit of the first byte of the SHA-256 of its name.
fn half_of(id: &str) -> &'static str {
    let hash = Sha256::digest(id.as_bytes());
    if hash.first().is_some_and(|byte| byte & 1 == 0) {
        "tuned"
    } else {
        "unseen"
    }
}

fn scenarios(asked: &Asked) -> Vec<Scenario> {
    let mut files: Vec<PathBuf> = Vec::new();
    for path in &asked.truths {
        if path.is_dir() {
            files.extend(
                below(path)
                    .into_iter()
                    .filter(|file| file.extension().is_some_and(|end| end == "json")),
            );
        } else {
            files.push(path.clone());
        }
    }
    let data = asked.data.as_deref().map(below).unwrap_or_default();
    let mut scenarios: Vec<Scenario> = files
        .iter()
        .filter_map(|file| scenario(file, &data))
        .collect();
    scenarios.sort_by(|a, b| a.id.cmp(&b.id));
    scenarios
}

fn scenario(truth: &Path, data: &[PathBuf]) -> Option<Scenario> {
    let value: Value = serde_json::from_str(&fs::read_to_string(truth).ok()?).ok()?;
    if value["schema"] != "gt/1" {
        return None;
    }
    let beside = truth.parent()?;
    let told = value["source"]["data_path"].as_array();
    let told = told.into_iter().flatten().filter_map(Value::as_str);
    let mut journals: Vec<PathBuf> = told
        .map(|path| beside.join(path))
        .filter(|path| path.is_dir())
        .collect();
    if journals.is_empty() {
        journals.extend(Some(beside.join("journal")).filter(|path| path.is_dir()));
    }
    let one = std::slice::from_ref(&value["input"]);
    let named = value["inputs"].as_array().map_or(one, Vec::as_slice);
    let inputs = if !journals.is_empty() {
        journals
    } else {
        named
            .iter()
            .filter_map(|input| evidence(input, data))
            .collect()
    };
    Some(Scenario {
        id: value["id"].as_str()?.to_owned(),
        truth: Some(truth.to_owned()),
        inputs,
        key: Some(beside.join("auditor.key")).filter(|key| key.is_file()),
    })
}

/// The file that holds what a truth was made from: by its name, by its name within an archive's
/// bytes, or by its hash in the list beside a packed archive.
fn evidence(input: &Value, data: &[PathBuf]) -> Option<PathBuf> {
    let name = input["file"].as_str()?;
    let hash = input["sha256"].as_str().unwrap_or(name);
    let plain = data.iter().find(|path| file_name(path) == name);
    let listed = || {
        let lists = data
            .iter()
            .filter(|path| file_name(path).ends_with(".index.tsv"));
        let mut hits =
            lists.filter(|list| fs::read_to_string(list).is_ok_and(|text| text.contains(hash)));
        let list = hits.next()?.to_string_lossy().into_owned();
        Some(PathBuf::from(list.strip_suffix(".index.tsv")?))
    };
    let zipped = || {
        let archives = data.iter().filter(|path| file_name(path).ends_with(".zip"));
        let mut hits = archives.filter(|archive| {
            fs::read(archive).is_ok_and(|bytes| {
                bytes
                    .windows(name.len())
                    .any(|part| part == name.as_bytes())
            })
        });
        hits.next().cloned()
    };
    plain.cloned().or_else(listed).or_else(zipped)
}

fn run(asked: &Asked, scenario: &Scenario) -> Result<Run, String> {
    if scenario.inputs.is_empty() {
        return Err("its evidence is not here".to_owned());
    }
    let case = asked.out.join(&scenario.id);
    let mut command = Command::new(&asked.saigen);
    command
        .arg("investigate")
        .args(&scenario.inputs)
        .arg("-o")
        .arg(&case);
    for rules in &asked.rules {
        command.arg("--rules").arg(rules);
    }
    if let Some(key) = &scenario.key {
        command.arg("--key").arg(key);
    }
    command
        .arg("--force")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let begun = Instant::now();
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kib = 0;
    let ended = loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        peak_kib = peak_kib.max(kib.unwrap_or(0));
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(ended) => break ended,
            None => std::thread::sleep(LOOK),
        }
    };
    let seconds = begun.elapsed().as_secs_f64();
    if !matches!(ended.code(), Some(0 | 1)) {
        return Err(format!("not investigated: {ended}"));
    }
    let text = fs::read_to_string(case.join("report.json")).map_err(|error| error.to_string())?;
    let score = match &scenario.truth {
        None => Value::Null,
        Some(truth) => {
            let output = Command::new(&asked.saigen)
                .args(["score", "--json"])
                .arg(&case)
                .arg("--truth")
                .arg(truth)
                .output()
                .map_err(|error| error.to_string())?;
            let said: Value =
                serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
            said["truths"][0].clone()
        }
    };
    Ok(Run {
        score,
        report: serde_json::from_str(&text).map_err(|error| error.to_string())?,
        seconds,
        peak_kib,
    })
}

fn row(id: &str, run: &Run) -> String {
    let score = &run.score;
    let number = |value: &Value| value.as_f64().map_or("-".to_owned(), |v| format!("{v:.3}"));
    let count = |value: &Value| value.as_u64().unwrap_or(0);
    let others = &score["false_incidents"];
    let all: u64 = others
        .as_object()
        .map_or(0, |map| map.values().filter_map(Value::as_u64).sum());
    let high = count(&others["high"]) + count(&others["critical"]);
    let entry = score["entry"]["rank"].as_u64();
    let cells = [
        id.to_owned(),
        count(&score["wanted"]).to_string(),
        number(&score["recall"]),
        number(&score["precision"]),
        format!(
            "{} {}",
            number(&score["recall_all"]),
            number(&score["precision_all"])
        ),
        entry.map_or("-".to_owned(), |rank| rank.to_string()),
        format!(
            "{}/{}",
            count(&score["order"]["told"]),
            count(&score["order"]["expected"])
        ),
        number(&score["order"]["tau"]),
        format!(
            "{}/{}",
            count(&score["edges"]["found"]),
            count(&score["edges"]["wanted"])
        ),
        format!(
            "{}/{}",
            count(&score["edges"]["crossed"]),
            count(&score["edges"]["crossings"])
        ),
        format!("{}, {all} ({high})", count(&score["incidents_of_truth"])),
        count(&score["size"]["nodes"]).to_string(),
        format!("{:.1}", run.seconds),
        (run.peak_kib / 1024).to_string(),
    ];
    format!("| {} |", cells.join(" | "))
}

fn benign_row(name: &str, run: &Run) -> String {
    let mut severities: BTreeMap<String, usize> = BTreeMap::new();
    for incident in run.report["incidents"].as_array().into_iter().flatten() {
        let severity = incident["severity"].as_str().unwrap_or("?").to_owned();
        *severities.entry(severity).or_default() += 1;
    }
    let said: Vec<String> = severities
        .iter()
        .map(|(severity, count)| format!("{count} {severity}"))
        .collect();
    format!(
        "| {name} | {} | {} | {:.1} | {} |",
        run.report["detections"].as_array().map_or(0, Vec::len),
        if said.is_empty() {
            "none".to_owned()
        } else {
            said.join(", ")
        },
        run.seconds,
        run.peak_kib / 1024
    )
}

/// Means over the scenarios that want processes, and the median of what is on the page.
fn summary(runs: &[Run]) -> String {
    let wanting = || {
        runs.iter()
            .filter(|run| run.score["wanted"].as_u64() > Some(0))
    };
    let mean = |name: &str, absent: Option<f64>| {
        let values: Vec<f64> = wanting()
            .filter_map(|run| run.score[name].as_f64().or(absent))
            .collect();
        let count = f64::from(u32::try_from(values.len()).unwrap_or(u32::MAX));
        if values.is_empty() {
            "-".to_owned()
        } else {
            format!("{:.3}", values.iter().sum::<f64>() / count)
        }
    };
    let named = wanting()
        .filter(|run| run.score["entry"]["rank"].is_u64())
        .count();
    let mut sizes: Vec<u64> = wanting()
        .filter_map(|run| run.score["size"]["nodes"].as_u64())
        .collect();
    sizes.sort_unstable();
    let median = sizes.get(sizes.len() / 2).copied().unwrap_or(0);
    format!(
        "\nMean recall {}, mean precision where something was found {}, entry named in {named} of {}, median on the page {median}.",
        mean("recall", Some(0.0)),
        mean("precision", None),
        wanting().count()
    )
}

/// All files below a folder, in order.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
