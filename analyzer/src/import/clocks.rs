//! Which clock of a log is the consistent one.
//!
//! A record may carry two times: its event's own, and when it was written. They should differ by
//! little. In the wild the time of an event may be off by days for one kind of event (Sysmon takes
//! network and DNS events from a buffer whose clock drifts), and the time of writing by hours (a
//! shipper that writes local time and marks it UTC). What stands is found by looking at all
//! records of one host in one file: the kind whose two times agree best shows by how much the two
//! clocks differ, and which kinds contradict them.

use std::collections::{BTreeMap, HashMap};

use saigen_schemas::event::{KindName, Source};

use crate::import::sink::NO_TIME_US;
use crate::import::spool::Entry;

/// Differences that are kept of each clock: enough for percentiles to a fifth of a percent.
const SAMPLE: usize = 512;

/// How long a record may wait to be written: Sysmon takes connections from a buffer that is a few
/// seconds behind.
const LATE_US: i64 = 30_000_000;

/// How much sooner than usual a record may be written: where the measure itself waited.
const EARLY_US: i64 = 15_000_000;

/// Zones differ by whole quarters of an hour.
const ZONE_US: i64 = 900_000_000;

/// Beyond this two clocks differ, and a single event's time is not believed against its record's.
const FAR_US: i64 = 60_000_000;

/// What one clock is of: one kind of event of one source on one host, in one file.
type Of = (u32, u32, u8, u8);

/// All clocks of all files.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    numbers: HashMap<Of, u32>,
    last: Option<(Of, u32)>,
    clocks: Vec<Clock>,
}

#[derive(Debug)]
struct Clock {
    of: Of,
    events: u64,
    /// Record's time minus event's time, µs, of every `step`th event that has both.
    sample: Vec<i64>,
    step: u64,
    paired: u64,
}

/// How the time of the events of one clock is had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    /// The event's own time, unless it is far from its record's.
    own: bool,
    /// Record's clock minus event's clock, µs, where they differ by much; else 0.
    shift_us: i64,
    /// The usual difference, µs.
    usual_us: i64,
}

/// What was found about clocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClockFinding {
    /// Number of the file.
    pub(super) leaf: u32,
    /// Number of the host.
    pub(super) host: u32,
    /// In words, without the host.
    pub(super) text: String,
}

/// How times are had, for all clocks.
#[derive(Debug, Default)]
pub(super) struct Rules {
    rules: Vec<Rule>,
}

impl Clocks {
    /// The number of an event's clock. Its two times are looked at.
    pub(super) fn see(&mut self, entry: &Entry) -> u32 {
        let of = (entry.leaf, entry.host, entry.codes.1, entry.codes.0);
        let number = match self.last {
            Some((last, number)) if last == of => number,
            Some(_) | None => self.number(of),
        };
        self.last = Some((of, number));
        if let Some(clock) = self.clocks.get_mut(number as usize) {
            clock.events += 1;
            if entry.wall_us != NO_TIME_US && entry.recorded_us != NO_TIME_US {
                clock.take(entry.recorded_us.saturating_sub(entry.wall_us));
            }
        }
        number
    }

    fn number(&mut self, of: Of) -> u32 {
        let next = u32::try_from(self.clocks.len()).unwrap_or(u32::MAX);
        let clocks = &mut self.clocks;
        *self.numbers.entry(of).or_insert_with(|| {
            clocks.push(Clock {
                of,
                events: 0,
                sample: Vec::new(),
                step: 1,
                paired: 0,
            });
            next
        })
    }

    /// Decides for every clock, and tells what contradicts what.
    pub(super) fn decide(&self) -> (Rules, Vec<ClockFinding>) {
        let mut by_host: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
        for (number, clock) in self.clocks.iter().enumerate() {
            let (leaf, host, _, _) = clock.of;
            by_host.entry((leaf, host)).or_default().push(number);
        }
        let plain = Rule {
            own: true,
            shift_us: 0,
            usual_us: 0,
        };
        let mut rules = vec![plain; self.clocks.len()];
        let mut findings = Vec::new();
        for ((leaf, host), mut numbers) in by_host {
            numbers.sort_by_key(|&number| self.clocks.get(number).map(|clock| clock.of));
            let clocks = numbers.iter().filter_map(|&number| self.clocks.get(number));
            let Some(anchor) = clocks.clone().filter_map(Spread::of).min() else {
                continue;
            };
            let shift_us = anchor.shift();
            let mut tell = |text| findings.push(ClockFinding { leaf, host, text });
            if shift_us != 0 {
                let alone: u64 = clocks.filter(|c| c.paired == 0).map(|c| c.events).sum();
                tell(format!(
                    "the clock that stamps records is not that of their events, by {}; {alone} records that have only the first are moved by as much",
                    apart(shift_us)
                ));
            }
            for number in numbers {
                let Some(clock) = self.clocks.get(number) else {
                    continue;
                };
                let contradicts = clock.contradicts(anchor.median_us);
                if contradicts {
                    tell(clock.contradiction(anchor.median_us));
                }
                if let Some(rule) = rules.get_mut(number) {
                    *rule = Rule {
                        own: clock.paired > 0 && !contradicts,
                        shift_us,
                        usual_us: anchor.median_us,
                    };
                }
            }
        }
        (Rules { rules }, findings)
    }
}

impl Clock {
    fn take(&mut self, difference_us: i64) {
        if self.paired.is_multiple_of(self.step) {
            if self.sample.len() == SAMPLE {
                let mut place = 0;
                self.sample.retain(|_| {
                    place += 1;
                    place % 2 == 1
                });
                self.step *= 2;
            }
            if self.paired.is_multiple_of(self.step) {
                self.sample.push(difference_us);
            }
        }
        self.paired += 1;
    }

    /// Whether the events' own times stand against the usual difference: more than a fifth of them
    /// is not where their records say.
    fn contradicts(&self, usual_us: i64) -> bool {
        let off = self.off(usual_us).count();
        off * 5 > self.sample.len()
    }

    fn off(&self, usual_us: i64) -> impl Iterator<Item = i64> {
        self.sample
            .iter()
            .map(move |difference| usual_us.saturating_sub(*difference))
            .filter(|off| !(-LATE_US..=EARLY_US).contains(off))
    }

    fn contradiction(&self, usual_us: i64) -> String {
        let (_, _, source, kind) = self.of;
        let kind = KindName::from_code(kind).map_or("events", KindName::as_str);
        let source = Source::from_code(u64::from(source)).map_or("", Source::as_str);
        let least = apart(self.off(usual_us).min().unwrap_or(0));
        let most = apart(self.off(usual_us).max().unwrap_or(0));
        let by = if least == most {
            most
        } else {
            format!("{least} to {most}")
        };
        format!(
            "the own times of {kind} ({source}) are not those of their records, by {by}; they are ordered by their records"
        )
    }
}

/// How far the differences of one clock lie apart. Sorts by what makes it a good measure.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Spread {
    /// Starts of processes are stamped by those who see them: they come first.
    is_other: bool,
    apart_us: i64,
    fewer: std::cmp::Reverse<u64>,
    median_us: i64,
}

impl Spread {
    fn of(clock: &Clock) -> Option<Self> {
        let mut sorted = clock.sample.clone();
        sorted.sort_unstable();
        let part = |tenths: usize| {
            sorted
                .get((sorted.len().checked_sub(1)?) * tenths / 10)
                .copied()
        };
        let apart_us = part(9)?.saturating_sub(part(1)?);
        let (_, _, _, kind) = clock.of;
        let is_start = KindName::from_code(kind) == Some(KindName::ProcessStart);
        Some(Self {
            is_other: !is_start || apart_us > FAR_US,
            apart_us,
            fewer: std::cmp::Reverse(clock.paired),
            median_us: part(5)?,
        })
    }

    /// The difference of the two clocks where it is one: steady, and more than a delay. Near a
    /// zone's it is the zone's, and the rest the usual delay.
    fn shift(&self) -> i64 {
        if self.apart_us > FAR_US || self.median_us.saturating_abs() <= FAR_US {
            return 0;
        }
        let zones = self
            .median_us
            .saturating_add(ZONE_US / 2)
            .div_euclid(ZONE_US);
        let zone = zones.saturating_mul(ZONE_US);
        if self.median_us.abs_diff(zone) <= LATE_US.unsigned_abs() {
            zone
        } else {
            self.median_us
        }
    }
}

impl Rules {
    /// When an event happened, by the clock that is consistent, µs; [`NO_TIME_US`] where its record
    /// has no time.
    pub(super) fn time(&self, entry: &Entry) -> i64 {
        let Some(rule) = self.rules.get(entry.clock as usize) else {
            return entry.wall_us;
        };
        let moved = |record_us: i64| record_us.saturating_sub(rule.shift_us);
        if entry.wall_us == NO_TIME_US {
            return NO_TIME_US;
        }
        if entry.recorded_us == NO_TIME_US {
            return moved(entry.wall_us);
        }
        let difference = entry.recorded_us.saturating_sub(entry.wall_us);
        let off = difference.saturating_sub(rule.usual_us).saturating_abs();
        if rule.own && off <= FAR_US {
            entry.wall_us
        } else {
            moved(entry.recorded_us)
        }
    }
}

/// A difference in words: `+7 h 0 min 0 s`.
fn apart(us: i64) -> String {
    let sign = if us < 0 { '-' } else { '+' };
    let ms = us.unsigned_abs() / 1000;
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let seconds = seconds % 60;
    if hours > 0 {
        format!("{sign}{hours} h {minutes} min {seconds} s")
    } else if minutes > 0 {
        format!("{sign}{minutes} min {seconds} s")
    } else {
        format!("{sign}{seconds}.{ms:03} s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000_000;
    const SECOND: i64 = 1_000_000;

    fn entry(kind: KindName, wall_us: i64, recorded_us: i64) -> Entry {
        Entry {
            leaf: 0,
            host: 0,
            clock: 0,
            row: (0, 0),
            offset: 0,
            number: 0,
            wall_us,
            recorded_us,
            seq: 0,
            codes: (kind.code(), 32),
        }
    }

    /// Shows events to clocks, and gives back when they happened.
    fn times(entries: &[Entry]) -> (Vec<i64>, Vec<ClockFinding>) {
        let mut clocks = Clocks::default();
        let seen: Vec<Entry> = entries
            .iter()
            .map(|&entry| Entry {
                clock: clocks.see(&entry),
                ..entry
            })
            .collect();
        let (rules, findings) = clocks.decide();
        (
            seen.iter().map(|entry| rules.time(entry)).collect(),
            findings,
        )
    }

    #[test]
    fn two_clocks_that_agree_leave_the_events_time() {
        let entries: Vec<_> = (0..9)
            .map(|n| entry(KindName::ProcessStart, n * SECOND, n * SECOND + 900))
            .collect();
        let (got, findings) = times(&entries);
        assert_eq!(got, (0..9).map(|n| n * SECOND).collect::<Vec<_>>());
        assert_eq!(findings, []);
    }

    #[test]
    fn a_kind_whose_own_times_drift_is_ordered_by_its_records() {
        let mut entries = Vec::new();
        for n in 0..20 {
            entries.push(entry(KindName::ProcessStart, n * SECOND, n * SECOND + 900));
            entries.push(entry(
                KindName::NetworkConnected,
                n * SECOND - (n + 1) * HOUR,
                n * SECOND + 900,
            ));
        }
        let (got, findings) = times(&entries);
        for (n, pair) in (0..).zip(got.chunks(2)) {
            assert_eq!(pair, [n * SECOND, n * SECOND + 900]);
        }
        assert_eq!(findings.len(), 1);
        assert!(
            findings[0].text.contains("network.connected"),
            "{findings:?}"
        );
    }

    #[test]
    fn a_record_clock_in_another_zone_is_moved() {
        let mut entries: Vec<_> = (0..9)
            .map(|n| entry(KindName::ProcessStart, n * SECOND, n * SECOND - 7 * HOUR))
            .collect();
        entries.push(entry(
            KindName::RecordRaw,
            3 * SECOND - 7 * HOUR,
            NO_TIME_US,
        ));
        let (got, findings) = times(&entries);
        assert_eq!(got[3], 3 * SECOND);
        assert_eq!(got[9], 3 * SECOND);
        assert!(findings[0].text.contains("-7 h 0 min 0 s"), "{findings:?}");
    }

    #[test]
    fn one_event_far_from_its_record_is_ordered_by_it() {
        let mut entries: Vec<_> = (0..50)
            .map(|n| entry(KindName::ProcessStart, n * SECOND, n * SECOND + 5))
            .collect();
        entries[7].wall_us -= HOUR;
        assert_eq!(times(&entries).0[7], 7 * SECOND + 5);
    }

    #[test]
    fn a_sample_is_bounded_and_stays_fair() {
        let mut clock = Clock {
            of: (0, 0, 0, 0),
            events: 0,
            sample: Vec::new(),
            step: 1,
            paired: 0,
        };
        for n in 0..100_000 {
            clock.take(n);
        }
        assert!(clock.sample.len() <= SAMPLE && clock.sample.len() >= SAMPLE / 2 - 1);
        let mean = clock.sample.iter().sum::<i64>() / i64::try_from(clock.sample.len()).unwrap();
        assert!((45_000..55_000).contains(&mean), "{mean}");
    }
}
