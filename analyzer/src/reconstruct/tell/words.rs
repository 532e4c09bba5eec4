//! Words for sentences: lists, spans, sizes, counts. English, plain, the same for the same values.

/// The most characters of a command line that a sentence shows.
const COMMAND_CHARS_MAX: usize = 160;

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [rest @ .., last] => format!("{} and {last}", rest.join(", ")),
    }
}

/// The first few of a list, and how many more there are: `a, b, c and 4 more`.
pub(super) fn some_of(items: &[String], most: usize) -> String {
    if items.len() <= most {
        return list(items);
    }
    let shown = &items[..most];
    format!("{} and {} more", shown.join(", "), items.len() - most)
}

/// `1 file`, `3 files`.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A span of time in the unit that a person would take: `0.2 s`, `3 min`, `2 h`.
pub(super) fn span(us: i64) -> String {
    let us = us.unsigned_abs();
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..100_000 => format!("{} ms", us / 1_000),
        100_000..60_000_000 => tenths(us, 1_000_000, "s"),
        60_000_000..7_200_000_000 => format!("{} min", us / 60_000_000),
        7_200_000_000..172_800_000_000 => tenths(us, 3_600_000_000, "h"),
        _ => format!("{} days", us / 86_400_000_000),
    }
}

/// A span of time to the millisecond, without its direction: `75.377 s`.
pub(super) fn seconds(us: i64) -> String {
    let ms = us.unsigned_abs() / 1_000;
    format!("{}.{:03} s", ms / 1_000, ms % 1_000)
}

fn tenths(value: u64, unit: u64, name: &str) -> String {
    let tenths = value / (unit / 10);
    if tenths.is_multiple_of(10) {
        format!("{} {name}", tenths / 10)
    } else {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    }
}

/// A size in the unit that a person would take: `812 bytes`, `14.2 KiB`, `3 MiB`.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        1 => "1 byte".to_owned(),
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => tenths_of(bytes, 1024, "KiB"),
        1_048_576..1_073_741_824 => tenths_of(bytes, 1_048_576, "MiB"),
        _ => tenths_of(bytes, 1_073_741_824, "GiB"),
    }
}

fn tenths_of(bytes: u64, unit: u64, name: &str) -> String {
    let (whole, tenth) = (bytes / unit, bytes % unit * 10 / unit);
    if tenth == 0 {
        format!("{whole} {name}")
    } else {
        format!("{whole}.{tenth} {name}")
    }
}

/// A command line for a sentence: cut when it is long, since the process list has it whole.
pub(super) fn command(text: &str) -> String {
    match text.char_indices().nth(COMMAND_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The first letter in upper case, for the beginning of a sentence.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_read_as_a_person_writes_them() {
        let items: Vec<String> = ["a", "b", "c", "d"].map(String::from).to_vec();
        assert_eq!(list(&items[..1]), "a");
        assert_eq!(list(&items[..2]), "a and b");
        assert_eq!(list(&items[..3]), "a, b and c");
        assert_eq!(some_of(&items, 2), "a, b and 2 more");
    }

    #[test]
    fn spans_and_sizes_take_their_unit() {
        for (us, text) in [
            (250, "250 µs"),
            (12_500, "12 ms"),
            (200_000, "0.2 s"),
            (3_000_000, "3 s"),
            (180_000_000, "3 min"),
            (9_000_000_000, "2.5 h"),
            (-200_000, "0.2 s"),
        ] {
            assert_eq!(span(us), text);
        }
        for (bytes, text) in [
            (1, "1 byte"),
            (812, "812 bytes"),
            (14_540, "14.1 KiB"),
            (3 << 20, "3 MiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn a_long_command_is_cut_between_characters() {
        assert_eq!(
            command(&"ä".repeat(400)).chars().count(),
            COMMAND_CHARS_MAX + 1
        );
        assert_eq!(command("id"), "id");
    }
}
