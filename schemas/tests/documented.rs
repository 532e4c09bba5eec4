//! `docs/EVENTS.md` tells the table of kinds as it is: every kind, every field, and no other.

use saigen_schemas::event::KindName;

const PAGE: &str = include_str!("../../docs/EVENTS.md");

/// The fields that a page documents for a kind: the rows of the table under its heading.
fn documented(page: &str, kind: &str) -> Option<Vec<String>> {
    let heading = format!("#### `{kind}`\n");
    let (_, section) = page.split_once(&heading)?;
    let end = section.find("\n#").unwrap_or(section.len());
    let rows = section[..end]
        .lines()
        .filter_map(|line| line.strip_prefix("| `"));
    Some(
        rows.filter_map(|row| row.split('`').next())
            .map(str::to_owned)
            .collect(),
    )
}

#[test]
fn every_kind_and_field_is_documented_in_the_order_of_the_table() {
    for kind in KindName::ALL {
        let fields = documented(PAGE, kind.as_str());
        assert_eq!(
            fields.as_deref(),
            Some(
                &kind
                    .fields()
                    .iter()
                    .map(|&field| field.to_owned())
                    .collect::<Vec<_>>()[..]
            ),
            "{}",
            kind.as_str()
        );
    }
}

#[test]
fn no_kind_is_documented_that_does_not_exist() {
    let headings = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("#### `")?.strip_suffix('`'));
    for name in headings {
        assert!(KindName::from_name(name).is_some(), "{name}");
    }
}

#[test]
fn a_page_that_lacks_a_field_is_noticed() {
    let page = PAGE.replace("| `parent` |", "| parent |");
    let fields = documented(&page, "process.fork").unwrap();
    assert_ne!(fields, KindName::ProcessFork.fields());
}
