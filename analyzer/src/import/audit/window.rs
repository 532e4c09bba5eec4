//! Records of one event brought together: they share host, stamp and serial, and may stand apart.
//!
//! The daemon writes records as they come from all CPUs at once, so that those of two events mix, and
//! events come out of order by some milliseconds. A window of recent events is kept in order of
//! stamp and serial; what falls out of it is complete.

use std::collections::VecDeque;

use crate::import::At;
use crate::import::audit::header::Header;
use crate::import::audit::kinds::RecordType;

/// Events that are held back so that late records find them. `auditd` itself is out of order by
/// a handful; a relay with several threads by some dozens.
const EVENTS_MAX: usize = 64;

/// Bytes of records that the window may hold: an execve with a megabyte of arguments is one event.
const BYTES_MAX: usize = 8 << 20;

/// Bytes of records that one event may hold; the rest of it becomes another event.
const EVENT_BYTES_MAX: usize = 4 << 20;

/// One record of an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) record_type: RecordType,
    /// Where its type's name stands in the event's text.
    pub(super) type_name: (usize, usize),
    /// Where its fields stand.
    pub(super) body: (usize, usize),
}

/// What surrounds a line, where it is carried by another format.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::import) struct Carrier<'c> {
    /// The host that the carrier names.
    pub(in crate::import) host: Option<&'c [u8]>,
    /// The carrier's own time, microseconds.
    pub(in crate::import) recorded_us: Option<i64>,
}

/// The records of one event.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) wall_us: i64,
    pub(super) serial: u32,
    pub(super) host: Vec<u8>,
    pub(super) recorded_us: Option<i64>,
    pub(super) at: Option<At>,
    /// Type names and bodies of all records.
    pub(super) text: Vec<u8>,
    pub(super) pieces: Vec<Piece>,
}

impl Gathered {
    fn begin(&mut self, header: &Header<'_>, carrier: Carrier<'_>, at: At) {
        self.wall_us = header.wall_us;
        self.serial = header.serial;
        self.host.clear();
        self.host
            .extend_from_slice(header.node.or(carrier.host).unwrap_or_default());
        self.recorded_us = carrier.recorded_us;
        self.at = Some(At {
            offset: at.offset,
            number: Some(u64::from(header.serial)),
        });
        self.text.clear();
        self.pieces.clear();
    }

    fn add(&mut self, header: &Header<'_>) {
        let mut put = |bytes: &[u8]| {
            let start = self.text.len();
            self.text.extend_from_slice(bytes);
            (start, self.text.len())
        };
        let type_name = put(header.type_name);
        let body = put(header.body);
        self.pieces.push(Piece {
            record_type: header.record_type,
            type_name,
            body,
        });
    }

    fn is_of(&self, header: &Header<'_>, carrier: Carrier<'_>) -> bool {
        self.serial == header.serial
            && self.wall_us == header.wall_us
            && self.host == header.node.or(carrier.host).unwrap_or_default()
    }

    /// Whether this event comes after one of that stamp and serial. Serials go round.
    fn is_after(&self, wall_us: i64, serial: u32) -> bool {
        (self.wall_us, 0) > (wall_us, 0)
            || (self.wall_us == wall_us
                && self.serial.wrapping_sub(serial).wrapping_sub(1) < 1 << 31)
    }
}

/// The window of recent events.
#[derive(Debug, Default)]
pub(super) struct Window {
    open: VecDeque<Gathered>,
    bytes: usize,
    /// Emptied events, for their memory.
    spare: Vec<Gathered>,
}

impl Window {
    /// Puts a record to its event. Events that are complete by now are to be taken out with
    /// [`Window::pop`] afterwards.
    pub(super) fn push(&mut self, header: &Header<'_>, carrier: Carrier<'_>, at: At) {
        let fits =
            |event: &Gathered| event.is_of(header, carrier) && event.text.len() < EVENT_BYTES_MAX;
        let place = match self.open.iter().rposition(fits) {
            Some(place) => place,
            None => self.begin(header, carrier, at),
        };
        if let Some(event) = self.open.get_mut(place) {
            let before = event.text.len();
            event.add(header);
            self.bytes += event.text.len() - before;
        }
    }

    fn begin(&mut self, header: &Header<'_>, carrier: Carrier<'_>, at: At) -> usize {
        let mut event = self.spare.pop().unwrap_or_default();
        event.begin(header, carrier, at);
        let before = self
            .open
            .iter()
            .rposition(|other| !other.is_after(header.wall_us, header.serial));
        let place = before.map_or(0, |before| before + 1);
        self.open.insert(place, event);
        place
    }

    /// The oldest event, if it has fallen out of the window.
    pub(super) fn pop(&mut self) -> Option<Gathered> {
        if self.open.len() > EVENTS_MAX || self.bytes > BYTES_MAX {
            self.take()
        } else {
            None
        }
    }

    /// The oldest event, at the end of the input.
    pub(super) fn take(&mut self) -> Option<Gathered> {
        let event = self.open.pop_front()?;
        self.bytes -= event.text.len();
        Some(event)
    }

    /// Gives back an event's memory.
    pub(super) fn reuse(&mut self, event: Gathered) {
        /// An event larger than this is rare, and its memory not worth keeping.
        const KEEP_BYTES: usize = 1 << 16;
        if event.text.capacity() <= KEEP_BYTES && self.spare.len() < EVENTS_MAX {
            self.spare.push(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::audit::header;

    fn put(window: &mut Window, line: &str) {
        let header = header::read(line.as_bytes()).unwrap();
        let at = At {
            offset: 0,
            number: None,
        };
        window.push(&header, Carrier::default(), at);
    }

    fn serials(window: &mut Window) -> Vec<(u32, usize)> {
        std::iter::from_fn(|| window.take())
            .map(|event| (event.serial, event.pieces.len()))
            .collect()
    }

    #[test]
    fn records_that_stand_apart_and_out_of_order_are_joined() {
        let mut window = Window::default();
        for line in [
            "type=SYSCALL msg=audit(5.001:8): a=1",
            "type=SYSCALL msg=audit(5.001:7): a=1",
            "type=CWD msg=audit(5.001:8): cwd=\"/\"",
            "type=SYSCALL msg=audit(4.900:9): a=1",
            "type=CWD msg=audit(5.001:7): cwd=\"/\"",
        ] {
            put(&mut window, line);
        }
        assert_eq!(serials(&mut window), [(9, 1), (7, 2), (8, 2)]);
    }

    #[test]
    fn serials_go_round() {
        let mut window = Window::default();
        for serial in [0_u32, u32::MAX, 1, u32::MAX - 1] {
            put(
                &mut window,
                &format!("type=CWD msg=audit(5.001:{serial}): a"),
            );
        }
        let order: Vec<u32> = serials(&mut window).into_iter().map(|(s, _)| s).collect();
        assert_eq!(order, [u32::MAX - 1, u32::MAX, 0, 1]);
    }

    #[test]
    fn hosts_do_not_mix_and_the_window_is_bounded() {
        let mut window = Window::default();
        put(&mut window, "node=a type=CWD msg=audit(5.001:7): x");
        put(&mut window, "node=b type=CWD msg=audit(5.001:7): x");
        assert_eq!(window.open.len(), 2);
        for serial in 0..1000 {
            put(
                &mut window,
                &format!("type=CWD msg=audit(6.000:{serial}): x"),
            );
            while let Some(event) = window.pop() {
                window.reuse(event);
            }
        }
        assert_eq!(window.open.len(), EVENTS_MAX);
        assert!(window.spare.len() <= EVENTS_MAX);
    }
}
