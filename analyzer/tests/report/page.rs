//! The page needs nothing but itself, and hangs together.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use regex::Regex;
use sha2::{Digest, Sha256};

use crate::{html, story};

#[test]
fn the_page_asks_for_nothing_from_outside() {
    let page = html(&story());
    let parts = Regex::new(r"(?s)<style>.*?</style>|<script>.*?</script>").expect("a regex");
    let markup = parts.replace_all(&page, "");
    for name in [
        "<link",
        "<iframe",
        "<object",
        "<embed",
        "<base",
        "<form",
        "=\"refresh",
    ] {
        assert!(!markup.contains(name), "{name}");
    }
    let tag = Regex::new(r"<[a-zA-Z][^>]*>").expect("a regex");
    let target =
        Regex::new(r#"\s(?:href|src|action|data|poster|style)=["']?([^"'\s>]*)"#).expect("a regex");
    for found in tag.find_iter(&markup) {
        for to in target.captures_iter(found.as_str()) {
            assert!(to[1].starts_with('#'), "{}", found.as_str());
        }
    }
    for word in ["url(", "@import", "@font-face"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn the_policy_allows_the_two_own_parts_by_hash_and_nothing_else() {
    let page = html(&story());
    let policy = Regex::new(r#"Content-Security-Policy" content="([^"]*)""#).expect("a regex");
    let policy = &policy.captures(&page).expect("a policy")[1];
    assert!(policy.starts_with("default-src 'none'; "));
    for (part, directive) in [("style", "style-src"), ("script", "script-src")] {
        let inner = Regex::new(&format!("(?s)<{part}>(.*?)</{part}>")).expect("a regex");
        let inner = &inner.captures(&page).expect("the part")[1];
        let hash = BASE64_STANDARD.encode(Sha256::digest(inner.as_bytes()));
        assert!(
            policy.contains(&format!("{directive} 'sha256-{hash}'")),
            "{part}"
        );
    }
    for word in ["unsafe", "http", "data:", "*"] {
        assert!(!policy.contains(word), "{word}");
    }
}

#[test]
fn every_mark_leads_somewhere() {
    let page = html(&story());
    let id = Regex::new(r#"\sid="([^"]+)""#).expect("a regex");
    let ids: Vec<String> = id
        .captures_iter(&page)
        .map(|found| found[1].to_owned())
        .collect();
    let once: BTreeSet<&String> = ids.iter().collect();
    assert_eq!(once.len(), ids.len(), "an id stands twice");
    let mark = Regex::new(r##"href="#([^"]*)""##).expect("a regex");
    for found in mark.captures_iter(&page) {
        // The cross of a pane leads to nothing, which closes the pane.
        let leads = &found[1] == "closed" || once.contains(&found[1].to_owned());
        assert!(leads, "{} leads nowhere", &found[0]);
    }
}

#[test]
fn a_large_incident_is_drawn_in_part_and_counted() {
    let mut report = story();
    let incident = &mut report.incidents[0];
    let model = incident.processes[0].clone();
    for at in 0..5_000u32 {
        let mut process = model.clone();
        process.node = format!("x{at}");
        process.pid = 10_000 + at;
        process.parent = Some("n1".to_owned());
        incident.processes.push(process);
    }
    let drawn = story().incidents[0].processes.len();
    let hidden = 5_000 + drawn - 2_000;
    let page = html(&report);
    assert!(page.contains(&format!(
        "… {},{:03} hidden",
        hidden / 1_000,
        hidden % 1_000
    )));
    assert_eq!(page.matches("class=\"pane proc\"").count(), 2_000);
    assert!(page.len() < 8_000_000, "{} bytes", page.len());
}
