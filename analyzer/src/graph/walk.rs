//! Searches that respect time: what may have led to a moment, and what may have come of it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use crate::graph::{Edge, EdgeId, Graph, NodeId};

/// Where a search goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To causes: against the edges, back in time.
    Back,
    /// To effects: along the edges, forward in time.
    Forth,
}

/// A node that a search reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The node.
    pub node: NodeId,
    /// Back: the latest moment at which what happened to it may have led to the start. Forth: the
    /// earliest moment at which it may have been affected. Wall clock, microseconds.
    pub at_us: i64,
    /// The edge by which it was reached; `None` for the start.
    pub by: Option<EdgeId>,
    /// How many edges lie between it and the start.
    pub hops: u32,
}

impl Graph {
    /// Everything that a node may depend on, or that may depend on it, from a moment on.
    ///
    /// A path of edges counts only if each may have happened no later (back: than the one after
    /// it; forth: no earlier than the one before it). Nodes come in the order of their moments,
    /// nearest to the start first, each once, with the best moment that it can be reached at.
    /// `admit` says of each edge whether it may be crossed; hubs are refused there. The search
    /// ends after `nodes_max` nodes.
    pub fn walk(
        &self,
        start: NodeId,
        at_us: i64,
        way: Way,
        nodes_max: usize,
        mut admit: impl FnMut(&Edge) -> bool,
    ) -> Vec<Reached> {
        // Ordered by moment, then by the order of discovery, so that equal runs are equal.
        let mut due: BinaryHeap<(i64, Reverse<usize>)> = BinaryHeap::new();
        let mut found = vec![Reached {
            node: start,
            at_us,
            by: None,
            hops: 0,
        }];
        let mut settled: HashSet<NodeId> = HashSet::new();
        let mut order = Vec::new();
        due.push((way.urgency(at_us), Reverse(0)));
        while let Some((_, Reverse(index))) = due.pop() {
            let Some(&reached) = found.get(index) else {
                continue;
            };
            if !settled.insert(reached.node) {
                continue;
            }
            order.push(reached);
            if order.len() >= nodes_max {
                break;
            }
            for (edge, node, at_us) in self.steps(reached, way) {
                if settled.contains(&node) || !admit(&edge) {
                    continue;
                }
                due.push((way.urgency(at_us), Reverse(found.len())));
                let hops = reached.hops.saturating_add(1);
                found.push(Reached {
                    node,
                    at_us,
                    by: Some(edge.id),
                    hops,
                });
            }
        }
        order
    }

    /// The edges by which a search goes on, each with the node and the moment that it leads to.
    fn steps(&self, from: Reached, way: Way) -> Vec<(Edge, NodeId, i64)> {
        if !self.clocks.is_empty() {
            return self.even_steps(from, way);
        }
        match way {
            Way::Back => self
                .before(from.node, from.at_us)
                .filter_map(|edge| Some((edge, edge.from, edge.latest_until(from.at_us)?)))
                .collect(),
            Way::Forth => self
                .after(from.node, from.at_us)
                .filter_map(|edge| Some((edge, edge.to, edge.earliest_from(from.at_us)?)))
                .collect(),
        }
    }

    /// The same where hosts' clocks are apart: an edge has the clock of the host that it comes
    /// from, or else of the one that it leads to, and a moment that of its node's host.
    fn even_steps(&self, from: Reached, way: Way) -> Vec<(Edge, NodeId, i64)> {
        let ahead = |node: NodeId| self.host_of(node).map(|host| self.ahead_us(host));
        let here_us = ahead(from.node);
        let next = |edge: Edge| {
            let clock_us = ahead(edge.from).or_else(|| ahead(edge.to)).unwrap_or(0);
            let at_us = shifted(from.at_us, clock_us - here_us.unwrap_or(clock_us));
            let (node, at_us) = match way {
                Way::Back => (edge.from, edge.latest_until(at_us)?),
                Way::Forth => (edge.to, edge.earliest_from(at_us)?),
            };
            let there_us = ahead(node).unwrap_or(clock_us);
            Some((edge, node, shifted(at_us, there_us - clock_us)))
        };
        let edges = |list: &[EdgeId]| -> Vec<Edge> {
            list.iter().filter_map(|&edge| self.edge(edge)).collect()
        };
        match way {
            Way::Back => {
                let list = edges(self.incoming(from.node));
                list.into_iter().rev().filter_map(next).collect()
            }
            Way::Forth => {
                let list = edges(self.outgoing(from.node));
                list.into_iter().filter_map(next).collect()
            }
        }
    }
}

/// A moment by another clock; the ends of time stay what they are.
const fn shifted(at_us: i64, by_us: i64) -> i64 {
    match at_us {
        i64::MIN | i64::MAX => at_us,
        us => us.saturating_add(by_us),
    }
}

impl Way {
    /// The nearer a moment is to the start, the sooner it is looked at.
    const fn urgency(self, at_us: i64) -> i64 {
        match self {
            Self::Back => at_us,
            Self::Forth => at_us.saturating_neg(),
        }
    }
}
