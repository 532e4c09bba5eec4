//! The case, as an examiner finds it in a folder.

use std::fs;
use std::path::Path;

use saigen_analyzer::case::{
    CUSTODY, Cell, DATABASE, Existing, Location, Occasion, REPORT_HTML, REPORT_JSON, check_custody,
    locations, query, read_report, write_case,
};
use saigen_schemas::report::{EvidenceId, Moment, Report};

fn story() -> Report {
    serde_json::from_str(include_str!("golden/story.report.json")).expect("a report")
}

fn occasion(time: i64) -> Occasion {
    Occasion {
        time: Moment::from_us(time),
        who: "examiner".to_owned(),
        machine: "desk".to_owned(),
        arguments: vec!["investigate".to_owned(), "web-03.journal".to_owned()],
        working_directory: "/evidence".to_owned(),
        locations: vec![Location {
            id: EvidenceId(1),
            path: "/evidence/web-03.journal".to_owned(),
        }],
    }
}

fn write(dir: &Path, existing: Existing) -> Result<String, String> {
    write_case(dir, story(), &occasion(1), existing)
        .map(|written| written.custody_head)
        .map_err(|error| error.to_string())
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a folder");
    let name = |entry: std::fs::DirEntry| entry.file_name().into_string().expect("a name in UTF-8");
    let mut names: Vec<String> = entries
        .map(|entry| name(entry.expect("an entry")))
        .collect();
    names.sort();
    names
}

#[test]
fn a_case_is_whole_and_nothing_lies_beside_it() {
    let place = tempfile::tempdir().unwrap();
    write(&place.path().join("case"), Existing::Refuse).unwrap();
    assert_eq!(names(place.path()), ["case"]);
    assert_eq!(
        names(&place.path().join("case")),
        [
            "case.sqlite",
            "custody.jsonl",
            "report.html",
            "report.json",
            "report.txt",
            "timeline.csv"
        ]
    );
}

#[test]
fn only_the_custody_log_has_a_clock() {
    let place = tempfile::tempdir().unwrap();
    let (one, two) = (place.path().join("one"), place.path().join("two"));
    let first = write_case(&one, story(), &occasion(1), Existing::Refuse).unwrap();
    let second = write_case(&two, story(), &occasion(2), Existing::Refuse).unwrap();
    assert_eq!(first.files, second.files);
    assert_eq!(first.report, second.report);
    assert_ne!(first.custody_head, second.custody_head);
    for name in names(&one).iter().filter(|name| *name != CUSTODY) {
        assert_eq!(
            fs::read(one.join(name)).unwrap(),
            fs::read(two.join(name)).unwrap(),
            "{name}"
        );
    }
}

#[test]
fn what_stands_is_not_touched() {
    let place = tempfile::tempdir().unwrap();
    let case = place.path().join("case");
    write(&case, Existing::Refuse).unwrap();
    let before = fs::read(case.join(CUSTODY)).unwrap();
    let refused = write(&case, Existing::Refuse).unwrap_err();
    assert!(
        refused.ends_with("exists already; name another place"),
        "{refused}"
    );
    assert_eq!(fs::read(case.join(CUSTODY)).unwrap(), before);
    assert_eq!(names(place.path()), ["case"]);

    let file = place.path().join("file");
    fs::write(&file, "mine").unwrap();
    write(&file, Existing::Refuse).unwrap_err();
    write(&file, Existing::Replace).unwrap_err();
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[test]
fn a_case_is_replaced_only_when_it_holds_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let case = place.path().join("case");
    write(&case, Existing::Refuse).unwrap();
    fs::write(case.join(REPORT_JSON), "old").unwrap();
    write(&case, Existing::Replace).unwrap();
    assert_eq!(read_report(&case).unwrap().evidence, story().evidence);
    assert_eq!(names(place.path()), ["case"]);

    fs::write(case.join("notes.txt"), "mine").unwrap();
    let refused = write(&case, Existing::Replace).unwrap_err();
    assert!(refused.contains("notes.txt"), "{refused}");
    assert_eq!(fs::read(case.join("notes.txt")).unwrap(), b"mine");

    let other = place.path().join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join(REPORT_JSON), "{}").unwrap();
    write(&other, Existing::Replace).unwrap_err();
    assert_eq!(names(&other), ["report.json"]);
}

#[test]
fn an_empty_folder_is_taken_and_a_place_without_a_parent_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let case = place.path().join("case");
    fs::create_dir(&case).unwrap();
    write(&case, Existing::Refuse).unwrap();
    write(&place.path().join("not/there"), Existing::Refuse).unwrap_err();
    write(Path::new("/"), Existing::Refuse).unwrap_err();
}

#[test]
fn a_question_is_answered_and_nothing_is_written() {
    let place = tempfile::tempdir().unwrap();
    let case = place.path().join("case");
    write(&case, Existing::Refuse).unwrap();
    let before = fs::read(case.join(DATABASE)).unwrap();
    let table = query(
        &case,
        "SELECT s.time, s.verb, c.ref FROM steps s JOIN citations c \
         ON c.item_table = 'steps' AND c.item = s.id WHERE s.verb = 'reads' ORDER BY c.place",
    )
    .unwrap();
    assert_eq!(table.columns, ["time", "verb", "ref"]);
    assert_eq!(table.rows.len(), 2);
    assert_eq!(table.rows[0][1], Cell::Text("reads".to_owned()));
    for sql in [
        "DELETE FROM steps",
        "INSERT INTO counts VALUES ('x', 1)",
        "UPDATE evidence SET verdict = 'intact' RETURNING id",
        "DROP TABLE steps",
        "CREATE TABLE mine (a)",
        "PRAGMA user_version = 7",
        "ATTACH 'elsewhere.sqlite' AS elsewhere",
        "VACUUM INTO 'elsewhere.sqlite'",
        "",
    ] {
        assert!(query(&case, sql).is_err(), "{sql}");
    }
    assert_eq!(fs::read(case.join(DATABASE)).unwrap(), before);
    assert_eq!(names(&case).len(), 6);
    assert!(!Path::new("elsewhere.sqlite").exists());
    let refused = query(&case, "SELECT nothing FROM nowhere")
        .unwrap_err()
        .to_string();
    assert!(!refused.contains('\n'), "{refused}");
    query(place.path(), "SELECT 1").unwrap_err();
}

#[test]
fn an_answer_reads_as_text_and_as_json() {
    let place = tempfile::tempdir().unwrap();
    let case = place.path().join("case");
    write(&case, Existing::Refuse).unwrap();
    let sql = "SELECT path, bytes FROM files WHERE path LIKE '/tmp/invoice%'";
    let table = query(&case, sql).unwrap();
    let (mut text, mut json) = (Vec::new(), Vec::new());
    table.write_text(&mut text).unwrap();
    table.write_json(&mut json).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.lines().nth(2), Some("/tmp/invoice⟨U+202E⟩fdp.sh"));
    let json = String::from_utf8(json).unwrap();
    assert!(
        json.contains(r#""path": "/tmp/invoice\u202efdp.sh""#),
        "{json}"
    );
}

#[test]
fn every_citation_of_the_database_has_its_record() {
    let place = tempfile::tempdir().unwrap();
    let case = place.path().join("case");
    write(&case, Existing::Refuse).unwrap();
    let lost = "SELECT ref FROM citations WHERE ref NOT IN (SELECT ref FROM records)";
    assert_eq!(query(&case, lost).unwrap().rows.len(), 0);
    let cited = "SELECT count(DISTINCT ref) FROM citations";
    let records = i64::try_from(story().records.len()).unwrap();
    assert_eq!(
        query(&case, cited).unwrap().rows,
        [[Cell::Integer(records)]]
    );
}

#[test]
fn the_custody_log_finds_every_change() {
    let place = tempfile::tempdir().unwrap();
    let case = place.path().join("case");
    let head = write(&case, Existing::Refuse).unwrap();
    let check = check_custody(&case).unwrap();
    assert_eq!((check.head, check.faults), (head, Vec::new()));

    let page = fs::read(case.join(REPORT_HTML)).unwrap();
    fs::write(case.join(REPORT_HTML), [&page[..], b" "].concat()).unwrap();
    assert_eq!(check_custody(&case).unwrap().faults.len(), 1);
    fs::write(case.join(REPORT_HTML), &page).unwrap();

    let log = fs::read_to_string(case.join(CUSTODY)).unwrap();
    for (at, _) in log.lines().enumerate() {
        let mut lines: Vec<&str> = log.lines().collect();
        lines.remove(at);
        fs::write(case.join(CUSTODY), lines.join("\n") + "\n").unwrap();
        let cut = check_custody(&case).unwrap();
        // A line less at the end is told by the head alone, when that was noted elsewhere.
        let told = !cut.faults.is_empty() || cut.head != check_head(&log);
        assert!(told, "line {}", at + 1);
    }
    fs::write(case.join(CUSTODY), log.replace("examiner", "somebody")).unwrap();
    assert!(!check_custody(&case).unwrap().faults.is_empty());
}

fn check_head(log: &str) -> String {
    use sha2::{Digest, Sha256};
    let last = log.lines().last().expect("a line");
    Sha256::digest(last.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn the_log_says_where_the_inputs_were() {
    let place = tempfile::tempdir().unwrap();
    let case = place.path().join("case");
    write(&case, Existing::Refuse).unwrap();
    let found = locations(&case).unwrap();
    assert_eq!(
        found.get(&EvidenceId(1)).map(String::as_str),
        Some("/evidence/web-03.journal")
    );
    let missing = locations(place.path()).unwrap_err().to_string();
    assert!(missing.contains("found no custody.jsonl"), "{missing}");
}
