//! When nobody watched: the time between the recordings of one host.

use saigen_schemas::report::{Gap, Moment};

/// One recording of a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watch {
    /// Whom it recorded.
    pub host: String,
    /// Its first event, wall clock, µs.
    pub from_us: i64,
    /// Its last event, wall clock, µs.
    pub to_us: i64,
    /// The name of the input.
    pub name: String,
    /// How it ended.
    pub end: End,
}

/// How a recording ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// By its recorder, which closed it.
    Closed,
    /// Without a word: the recorder was killed, the machine stopped, or the end was taken away.
    Open,
}

/// The holes between recordings of one host, by host and time. Recordings that overlap leave none.
#[must_use]
pub fn between(mut watches: Vec<Watch>) -> Vec<Gap> {
    watches.sort();
    let mut gaps = Vec::new();
    let mut last: Option<Watch> = None;
    for next in watches {
        let before = match last.take() {
            Some(before) if before.host == next.host => before,
            Some(_) | None => {
                last = Some(next);
                continue;
            }
        };
        if next.from_us > before.to_us {
            gaps.push(hole(&before, &next));
        }
        last = Some(if next.to_us >= before.to_us {
            next
        } else {
            before
        });
    }
    gaps
}

fn hole(before: &Watch, next: &Watch) -> Gap {
    let (host, first, second) = (&next.host, &before.name, &next.name);
    let text = match before.end {
        End::Open => format!(
            "The recording {first} of {host} breaks off without a close: its recorder was killed or the machine stopped. Nobody \
             recorded {host} from then until {second} begins. What was done in between is not known, and of what was done \
             in the last seconds before some may not have been written."
        ),
        End::Closed => format!(
            "Nobody recorded {host} from the close of {first} until {second} begins: what was done in between is not known."
        ),
    };
    Gap {
        host: Some(host.clone()),
        from: Some(Moment::from_us(before.to_us)),
        to: Some(Moment::from_us(next.from_us)),
        lost: None,
        text,
        evidence: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(host: &str, from_us: i64, to_us: i64, end: End) -> Watch {
        Watch {
            host: host.to_owned(),
            from_us,
            to_us,
            name: format!("{host}-{from_us}"),
            end,
        }
    }

    fn spans(gaps: &[Gap]) -> Vec<(i64, i64)> {
        let us = |moment: Option<Moment>| moment.map_or(-1, Moment::us);
        gaps.iter().map(|gap| (us(gap.from), us(gap.to))).collect()
    }

    #[test]
    fn a_recording_that_breaks_off_is_told_until_the_next_one() {
        let gaps = between(vec![
            watch("a", 50, 90, End::Closed),
            watch("a", 10, 20, End::Open),
            watch("b", 30, 40, End::Open),
        ]);
        assert_eq!(spans(&gaps), [(20, 50)]);
        assert!(
            gaps[0].text.contains("breaks off") && gaps[0].text.contains("a-50"),
            "{}",
            gaps[0].text
        );
    }

    #[test]
    fn a_pause_between_closed_recordings_is_told_as_that() {
        let gaps = between(vec![
            watch("a", 10, 20, End::Closed),
            watch("a", 21, 30, End::Closed),
        ]);
        assert_eq!(spans(&gaps), [(20, 21)]);
        assert!(gaps[0].text.starts_with("Nobody recorded a"));
    }

    #[test]
    fn recordings_that_overlap_leave_no_hole() {
        let gaps = between(vec![
            watch("a", 10, 80, End::Open),
            watch("a", 20, 30, End::Open),
            watch("a", 70, 90, End::Closed),
        ]);
        assert_eq!(spans(&gaps), []);
    }
}
