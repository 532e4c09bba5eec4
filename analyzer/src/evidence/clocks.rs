//! What the clocks in the frames' headers say: steps that nobody declared, time that ran
//! backwards, and silence.

use saigen_schemas::event::{BootId, format_utc};
use saigen_schemas::journal::{FrameHeader, FrameKind};
use saigen_schemas::report::FindingKind;

use crate::evidence::verdict::Notice;

/// A recorder seals at least every ten seconds: twice that is silence.
pub(super) const SILENCE_US: u64 = 20_000_000;

/// By how much wall and boot clock must part between two frames to be a step. A recorder declares
/// steps from 100 ms on; slewing stays far below.
const STEP_US: u64 = 250_000;

/// How long after a step or a sleep a recorder may take to declare it: one heartbeat, and delay.
const DECLARED_WITHIN_US: u64 = 20_000_000;

/// Most notices of one journal: a hostile one could give one a frame.
const NOTICES_MAX: usize = 1000;

/// Follows the clocks from frame to frame.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    before: Option<Seen>,
    /// A step or silence that may still be declared.
    waiting: Vec<(FrameKind, Seen, Notice)>,
    notices: Vec<Notice>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    boot: BootId,
    boot_us: u64,
    wall_us: i64,
}

impl Seen {
    fn offset_us(self) -> i64 {
        self.wall_us.saturating_sub_unsigned(self.boot_us)
    }
}

impl Clocks {
    /// The next frame, in the order of positions.
    pub(super) fn frame(&mut self, header: &FrameHeader) {
        let now = Seen {
            boot: header.boot,
            boot_us: header.boot_us,
            wall_us: header.wall_us,
        };
        self.waiting.retain(|(wanted, ..)| *wanted != header.kind);
        if let Some(before) = self
            .before
            .replace(now)
            .filter(|before| before.boot == now.boot)
        {
            self.compare(before, now, header.kind);
        }
        self.expire(Some(now));
    }

    fn compare(&mut self, before: Seen, now: Seen, kind: FrameKind) {
        let notice = |kind, text| Notice {
            kind,
            text,
            from_us: Some(before.wall_us),
            to_us: Some(now.wall_us),
        };
        if now.boot_us < before.boot_us {
            let back = seconds(before.boot_us - now.boot_us);
            self.note(notice(
                FindingKind::Clock,
                format!("the boot clock ran backwards by {back}, which no kernel lets it do"),
            ));
            return;
        }
        let stepped = now.offset_us().saturating_sub(before.offset_us());
        if stepped.unsigned_abs() >= STEP_US && kind != FrameKind::Clock {
            let way = if stepped > 0 { "forward" } else { "back" };
            let by = seconds(stepped.unsigned_abs());
            let text = format!(
                "the wall clock was stepped {way} by {by}, and the recorder did not say so"
            );
            self.waiting
                .push((FrameKind::Clock, now, notice(FindingKind::Clock, text)));
        }
        let silent = now.boot_us - before.boot_us;
        if silent > SILENCE_US && kind != FrameKind::Suspend {
            let text = format!(
                "nothing was sealed for {}, though a recorder seals every ten seconds",
                seconds(silent)
            );
            self.waiting
                .push((FrameKind::Suspend, now, notice(FindingKind::Gap, text)));
        }
    }

    /// Takes up what was not declared in time.
    fn expire(&mut self, now: Option<Seen>) {
        let late = |since: &Seen| {
            now.is_none_or(|now| {
                now.boot != since.boot
                    || now.boot_us.saturating_sub(since.boot_us) > DECLARED_WITHIN_US
            })
        };
        let waiting = std::mem::take(&mut self.waiting);
        for (wanted, since, notice) in waiting {
            if late(&since) {
                self.note(notice);
            } else {
                self.waiting.push((wanted, since, notice));
            }
        }
    }

    fn note(&mut self, notice: Notice) {
        if self.notices.len() < NOTICES_MAX {
            self.notices.push(notice);
        }
    }

    /// All that was noticed.
    pub(super) fn finish(mut self) -> Vec<Notice> {
        self.expire(None);
        self.notices
    }
}

/// A span of time for a reader.
pub(super) fn seconds(us: u64) -> String {
    format!("{}.{:03} s", us / 1_000_000, us % 1_000_000 / 1000)
}

/// The silence between the last frame and the moment at which a copy was taken of a recording
/// that was running, if it is longer than a running recorder can be silent.
pub(super) fn silence_before(last_us: i64, acquired_us: i64) -> Option<String> {
    let silent = u64::try_from(acquired_us.saturating_sub(last_us)).ok()?;
    (silent > SILENCE_US).then(|| {
        format!(
            "the last frame was sealed at {}, {} before the copy was taken: a running recorder seals every ten seconds, so what came after is not here",
            format_utc(last_us),
            seconds(silent)
        )
    })
}

#[cfg(test)]
mod tests {
    use saigen_schemas::journal::seal::ChainValue;

    use super::*;

    fn header(kind: FrameKind, boot_s: u64, wall_s: i64) -> FrameHeader {
        FrameHeader {
            kind,
            position: 0,
            first_seq: 0,
            events: 0,
            payload_len: 0,
            raw_len: 0,
            boot: BootId([1; 16]),
            boot_us: boot_s * 1_000_000,
            wall_us: wall_s * 1_000_000,
            lost: 0,
            before: ChainValue([0; 32]),
            of_events: None,
        }
    }

    /// Kind, boot clock and wall clock of a frame, seconds.
    type At = (FrameKind, u64, i64);

    fn notices(frames: &[At]) -> Vec<FindingKind> {
        let mut clocks = Clocks::default();
        for &(kind, boot_s, wall_s) in frames {
            clocks.frame(&header(kind, boot_s, wall_s));
        }
        clocks.finish().iter().map(|notice| notice.kind).collect()
    }

    #[test]
    fn steps_and_sleeps_are_findings_unless_declared() {
        use FrameKind::{Clock, Data, Heartbeat, Suspend};
        let lists: [(&[At], &[FindingKind]); 6] = [
            (
                &[(Data, 1, 101), (Heartbeat, 11, 111), (Heartbeat, 21, 121)],
                &[],
            ),
            (
                &[(Data, 1, 101), (Data, 6, 50), (Heartbeat, 16, 60)],
                &[FindingKind::Clock],
            ),
            (
                &[
                    (Data, 1, 101),
                    (Data, 6, 50),
                    (Clock, 6, 50),
                    (Heartbeat, 16, 60),
                ],
                &[],
            ),
            (
                &[(Data, 1, 101), (Data, 100, 200), (Heartbeat, 110, 210)],
                &[FindingKind::Gap],
            ),
            (
                &[(Data, 1, 101), (Suspend, 100, 200), (Heartbeat, 110, 210)],
                &[],
            ),
            (&[(Data, 9, 101), (Data, 8, 100)], &[FindingKind::Clock]),
        ];
        for (frames, expected) in lists {
            assert_eq!(notices(frames), expected, "{frames:?}");
        }
    }

    #[test]
    fn a_silent_end_is_told_from_a_fresh_one() {
        assert!(silence_before(0, 20_000_000).is_none());
        assert!(silence_before(0, -5).is_none());
        assert!(silence_before(0, 60_000_000).is_some());
    }
}
