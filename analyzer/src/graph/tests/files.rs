//! What the graph promises about files and their names.

use super::*;

#[test]
fn a_renamed_file_is_the_same_file() {
    let mut tale = Tale::on("web", 1);
    tale.wrote(10, "/tmp/.x", Some(7));
    tale.renamed(11, "/tmp/.x", "/usr/local/bin/tool");
    tale.start(1, 12, "/usr/local/bin/tool", "tool\0");
    let graph = tale.graph();
    let file = files(&graph, "/tmp/.x");
    assert_eq!(file, files(&graph, "/usr/local/bin/tool"));
    let (writer, mover, runner) = (
        process(&graph, 10),
        process(&graph, 11),
        process(&graph, 12),
    );
    assert_eq!(
        verbs(&graph, writer, file[0]),
        [(Verb::Wrote, Ground::Recorded)]
    );
    assert_eq!(
        verbs(&graph, mover, file[0]),
        [(Verb::Renamed, Ground::Recorded)]
    );
    assert_eq!(
        verbs(&graph, file[0], runner),
        [(Verb::Executed, Ground::Recorded)]
    );
    let names: Vec<_> = graph
        .aliases(file[0])
        .map(|alias| alias.path.lossy())
        .collect();
    assert_eq!(names, ["/usr/local/bin/tool", "/tmp/.x"]);
    assert!(graph.aliases(file[0]).nth(1).unwrap().to_us.is_some());
}

#[test]
fn a_path_made_anew_is_another_file() {
    let mut tale = Tale::on("web", 1);
    tale.created(10, "/tmp/x", Some(7));
    tale.deleted(10, "/tmp/x", Some(7));
    tale.created(11, "/tmp/x", Some(7));
    tale.wrote(11, "/tmp/x", Some(7));
    let graph = tale.graph();
    let found = files(&graph, "/tmp/x");
    assert_eq!(found.len(), 2, "the inode was reused, the file was not");
    assert_eq!(graph.file(found[1]).unwrap().generation, 1);
    assert!(verbs(&graph, process(&graph, 11), found[0]).is_empty());
    assert!(graph.file(found[0]).unwrap().deleted_us.is_some());
    assert!(graph.file(found[1]).unwrap().deleted_us.is_none());
}

#[test]
fn a_file_that_was_replaced_without_a_record_is_another_file() {
    let mut tale = Tale::on("web", 1);
    tale.wrote(10, "/etc/passwd", Some(7));
    tale.wrote(11, "/etc/passwd", Some(8));
    let graph = tale.graph();
    assert_eq!(files(&graph, "/etc/passwd").len(), 2);
}

#[test]
fn a_file_written_after_its_deletion_is_the_deleted_file() {
    let mut tale = Tale::on("web", 1);
    tale.created(10, "/tmp/x", Some(7));
    tale.deleted(10, "/tmp/x", Some(7));
    tale.wrote(10, "/tmp/x", Some(7));
    let graph = tale.graph();
    let found = files(&graph, "/tmp/x");
    assert_eq!(found.len(), 1);
    assert!(graph.file(found[0]).unwrap().deleted_us.is_some());
}

#[test]
fn a_hard_link_is_a_further_name_and_a_symbolic_link_leads_to_its_target() {
    let mut tale = Tale::on("web", 1);
    tale.wrote(10, "/tmp/a", Some(7));
    for (path, inode) in [("/tmp/hard", 7), ("/tmp/soft", 9)] {
        let kind = FileLinked {
            path: Some(path.into()),
            target: Some("/tmp/a".into()),
            inode: Some(Near(inode)),
            dev: Some(8),
        };
        tale.tell(Some(key(10)), Kind::FileLinked(kind));
    }
    tale.deleted(10, "/tmp/a", Some(7));
    let graph = tale.graph();
    let file = files(&graph, "/tmp/a")[0];
    let soft = files(&graph, "/tmp/soft")[0];
    assert_eq!(files(&graph, "/tmp/hard"), [file]);
    assert_eq!(
        verbs(&graph, file, soft),
        [(Verb::Linked, Ground::Recorded)]
    );
    assert_eq!(
        graph.file(file).unwrap().deleted_us,
        None,
        "one name is left"
    );
}

#[test]
fn a_script_and_the_files_that_arguments_name_lead_to_the_process() {
    let mut tale = Tale::on("web", 1);
    tale.wrote(10, "/tmp/x.sh", None);
    tale.wrote(10, "/tmp/loot.tgz", None);
    tale.start(1, 11, "/bin/sh", "sh\0./x.sh\0");
    tale.start(
        1,
        12,
        "/usr/bin/curl",
        "curl\0-T\0/tmp/loot.tgz\0-o\0/tmp/x.sh\0",
    );
    tale.start(1, 13, "/bin/rm", "rm\0/tmp/loot.tgz\0");
    tale.start(
        1,
        14,
        "/usr/bin/perl",
        "perl\0-e\0open($f,'</tmp/loot.tgz')\0",
    );
    tale.start(
        1,
        15,
        "/usr/bin/perl",
        "perl\0-e\0open($f,'>/tmp/loot.tgz')\0",
    );
    let graph = tale.graph();
    let (script, loot) = (
        files(&graph, "/tmp/x.sh")[0],
        files(&graph, "/tmp/loot.tgz")[0],
    );
    let read = [(Verb::Read, Ground::Arguments)];
    assert_eq!(verbs(&graph, script, process(&graph, 11)), read);
    assert_eq!(verbs(&graph, loot, process(&graph, 12)), read);
    assert!(
        verbs(&graph, script, process(&graph, 12)).is_empty(),
        "an output is not read"
    );
    assert!(
        verbs(&graph, loot, process(&graph, 13)).is_empty(),
        "rm does not read"
    );
}
