//! Whether an incident tells its steps in the order in which they happened.

use std::collections::BTreeMap;

use saigen_schemas::report::{Incident, Moment, Step};
use serde::Serialize;

use super::truth::Truth;

/// How the order of the told steps agrees with the expected one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Order {
    /// Steps that the truth expects, of processes that it names.
    pub expected: usize,
    /// Those that some step of the incident tells.
    pub told: usize,
    /// Kendall's tau over the told ones, from -1 (backwards) to 1 (in order); `None` below two.
    /// Two that one step tells, or that the truth puts at one moment, agree.
    pub tau: Option<f64>,
    /// Neighbours in the incident whose times fall: there must be none.
    pub falling: usize,
    /// Expected steps that nothing tells.
    pub untold: Vec<String>,
}

impl Order {
    /// Compares one incident. `nodes` says which known process each node is.
    pub(super) fn of(truth: &Truth, incident: &Incident, nodes: &BTreeMap<&str, usize>) -> Self {
        let mut places: Vec<(Option<i64>, usize)> = Vec::new();
        let mut untold = Vec::new();
        for expected in &truth.expected {
            let tells = |step: &Step| {
                let ends = [Some(step.actor.as_str()), step.object.as_deref()];
                let mut known = ends.into_iter().flatten().filter_map(|end| nodes.get(end));
                known.any(|at| expected.processes.contains(at))
            };
            let steps = incident.steps.iter().enumerate();
            let told = steps.filter(|(_, step)| tells(step));
            // Of one process's many steps, the one nearest to the expected moment.
            let nearest = told
                .min_by_key(|(at, step)| (far(step.time, expected.us.unwrap_or(i64::MIN)), *at));
            match nearest {
                Some((at, _)) => places.push((expected.us, at)),
                None => untold.push(expected.label.clone()),
            }
        }
        let times = incident.steps.windows(2);
        let falling = times.filter(|pair| matches!(pair, [one, next] if one.time > next.time));
        Self {
            expected: truth.expected.len(),
            told: places.len(),
            tau: tau(&places),
            falling: falling.count(),
            untold,
        }
    }
}

fn far(time: Moment, us: i64) -> u64 {
    time.us().abs_diff(us)
}

/// Kendall's tau of places that should rise.
fn tau(places: &[(Option<i64>, usize)]) -> Option<f64> {
    let (mut agree, mut disagree) = (0u32, 0u32);
    for (index, (us, at)) in places.iter().enumerate() {
        for (later_us, later) in places.iter().skip(index + 1) {
            if at <= later || us.is_some() && us == later_us {
                agree = agree.saturating_add(1);
            } else {
                disagree = disagree.saturating_add(1);
            }
        }
    }
    let pairs = agree.saturating_add(disagree);
    (pairs > 0).then(|| (f64::from(agree) - f64::from(disagree)) / f64::from(pairs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tau_is_one_in_order_and_minus_one_backwards() {
        let places = |list: &[usize]| list.iter().map(|&at| (None, at)).collect::<Vec<_>>();
        assert_eq!(tau(&places(&[1, 2, 2, 9])), Some(1.0));
        assert_eq!(tau(&places(&[3, 2, 1])), Some(-1.0));
        assert_eq!(tau(&places(&[4])), None);
        assert_eq!(
            tau(&[(Some(5), 8), (Some(5), 2)]),
            Some(1.0),
            "one moment has no order"
        );
    }
}
