//! Clocks: how far those of the hosts are apart, each with its ground.

use saigen_schemas::report::{Grade, Sentence, text_from_bytes};

use crate::graph::{Graph, HostClock};
use crate::reconstruct::tell::words;

/// The most records that a sentence cites.
const EVENTS_MAX: usize = 6;

/// How far the clocks of hosts are apart, and what shows it.
pub(in crate::reconstruct) fn clocks(graph: &Graph) -> Vec<Sentence> {
    let name = |host| text_from_bytes(graph.host_name(host).0);
    let tell = |clock: &HostClock| {
        let by = clock.by?;
        let shared = graph.crossings().iter().filter(|flow| {
            let ends = (flow.client_host, flow.server_host);
            ends == (clock.host, by) || ends == (by, clock.host)
        });
        let events = shared.flat_map(|flow| [flow.client_event, flow.server_event]);
        let (host, reference) = (name(clock.host), name(clock.reference));
        let apart = match clock.ahead_us {
            0 => format!("The clock of {host} agrees with that of {reference}"),
            us => format!(
                "The clock of {host} is {} {} that of {reference}",
                words::seconds(us),
                if us > 0 { "ahead of" } else { "behind" }
            ),
        };
        let through = if by == clock.reference {
            String::new()
        } else {
            format!(" with {}, whose clock is known", name(by))
        };
        let flows = words::counted(clock.flows as u64, "flow", "flows");
        let text = format!(
            "{apart}: the median over {flows}{through} that both ends recorded, of which the middle half lies within {}. Times are shown by each host's own clock; where times of two hosts are compared this is taken out.",
            words::seconds(clock.spread_us)
        );
        Some(Sentence {
            text,
            grade: Grade::Inferred,
            evidence: events.take(EVENTS_MAX).map(Into::into).collect(),
        })
    };
    graph.clocks().iter().filter_map(tell).collect()
}
