//! The process tree as rows: indented, in order of time, in linear time.
//!
//! Every process gets one row, whatever its parents say: a parent that is not there makes a
//! root, and a circle of parents (a broken or forged record) is cut open at its first member.

use std::collections::BTreeMap;

use saigen_schemas::report::{Moment, Process};

/// The deepest level that is drawn indented. Beyond it rows stand at this level and say how
/// deep they are: more rails would leave no room for text.
pub(super) const DEPTH_DRAWN_MAX: usize = 30;

/// One row of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub what: What,
    /// Levels below the root.
    pub depth: usize,
    /// Bit `d` is set where a line runs through this row at level `d`.
    pub rails: u32,
    /// Whether a later row has the same parent.
    pub followed: bool,
    /// Whether the next row is this one's child.
    pub has_children: bool,
}

/// What a row stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The process at this index.
    Process(usize),
    /// That many processes, left out here.
    Hidden(usize),
}

/// Lays the processes out. When there are more than `most`, those for which `marked` holds
/// and their ancestors come first; the rest is counted in [`What::Hidden`] rows.
pub(super) fn rows(processes: &[Process], marked: impl Fn(usize) -> bool, most: usize) -> Vec<Row> {
    let mut forest = Forest::new(processes);
    forest.order_roots(processes, &marked);
    let shown = forest.choose(marked, most);
    forest.draw(&shown)
}

/// The processes as a forest, without circles.
struct Forest {
    /// The parent of each process, `None` for a root.
    parents: Vec<Option<usize>>,
    /// The children of each process, in order of time.
    children: Vec<Vec<usize>>,
    roots: Vec<usize>,
    /// All processes, each after its parent.
    order: Vec<usize>,
}

impl Forest {
    fn new(processes: &[Process]) -> Self {
        let mut by_node = BTreeMap::new();
        for (index, process) in processes.iter().enumerate() {
            by_node.entry(process.node.as_str()).or_insert(index);
        }
        let parent_of = |index: usize| -> Option<usize> {
            let parent = processes[index].parent.as_deref()?;
            by_node
                .get(parent)
                .copied()
                .filter(|&parent| parent != index)
        };
        let mut by_time: Vec<usize> = (0..processes.len()).collect();
        by_time.sort_by_key(|&index| (processes[index].start, index));
        let mut claimed_children = vec![Vec::new(); processes.len()];
        let (mut starts, mut bound) = (Vec::new(), Vec::new());
        for &index in &by_time {
            match parent_of(index) {
                Some(parent) => {
                    claimed_children[parent].push(index);
                    bound.push(index);
                }
                None => starts.push(index),
            }
        }
        let mut forest = Self {
            parents: vec![None; processes.len()],
            children: vec![Vec::new(); processes.len()],
            roots: Vec::new(),
            order: Vec::with_capacity(processes.len()),
        };
        // What no root leads to hangs in a circle: its first member becomes a root.
        let mut reached = vec![false; processes.len()];
        for root in starts.into_iter().chain(bound) {
            if !reached[root] {
                reached[root] = true;
                forest.roots.push(root);
                forest.reach(root, &claimed_children, &mut reached);
            }
        }
        forest
    }

    fn reach(&mut self, root: usize, claimed: &[Vec<usize>], reached: &mut [bool]) {
        let mut stack = vec![root];
        while let Some(index) = stack.pop() {
            self.order.push(index);
            for &child in &claimed[index] {
                if !reached[child] {
                    reached[child] = true;
                    self.parents[child] = Some(index);
                    self.children[index].push(child);
                }
            }
            stack.extend(self.children[index].iter().rev());
        }
    }

    /// Orders the roots by the first marked process below each. A root has often run since
    /// long before: its own start says nothing about when it came to matter.
    fn order_roots(&mut self, processes: &[Process], marked: impl Fn(usize) -> bool) {
        let mut matters: Vec<(bool, Option<Moment>)> = (0..processes.len())
            .map(|at| (!marked(at), processes[at].start))
            .collect();
        // Children stand behind their parent, so that one way back brings the least upward.
        for &at in self.order.iter().rev() {
            if let Some(parent) = self.parents[at] {
                matters[parent] = matters[parent].min(matters[at]);
            }
        }
        self.roots.sort_by_key(|&root| (matters[root], root));
    }

    /// Which processes are shown: the marked ones first, each with all its ancestors.
    fn choose(&self, marked: impl Fn(usize) -> bool, most: usize) -> Vec<bool> {
        let count = self.order.len();
        if count <= most {
            return vec![true; count];
        }
        let mut shown = vec![false; count];
        let mut room = most;
        let (first, then): (Vec<usize>, Vec<usize>) =
            self.order.iter().copied().partition(|&index| marked(index));
        for index in first.into_iter().chain(then) {
            let mut line = Vec::new();
            let mut next = Some(index);
            while let Some(at) = next.filter(|&at| !shown[at]) {
                line.push(at);
                next = self.parents[at];
            }
            if line.len() > room {
                break;
            }
            room -= line.len();
            for at in line {
                shown[at] = true;
            }
        }
        shown
    }

    /// How many left-out processes each shown one stands for, and how many have no shown
    /// ancestor at all.
    fn count_hidden(&self, shown: &[bool]) -> (Vec<usize>, usize) {
        let mut under = vec![0; shown.len()];
        let mut under_none = 0;
        let mut anchors: Vec<Option<usize>> = vec![None; shown.len()];
        for &index in &self.order {
            if shown[index] {
                anchors[index] = Some(index);
                continue;
            }
            anchors[index] = self.parents[index].and_then(|parent| anchors[parent]);
            match anchors[index] {
                Some(anchor) => under[anchor] += 1,
                None => under_none += 1,
            }
        }
        (under, under_none)
    }

    fn draw(&self, shown: &[bool]) -> Vec<Row> {
        let (hidden_under, hidden_roots) = self.count_hidden(shown);
        let below = |list: &[usize], hidden: usize| -> Vec<What> {
            let mut below: Vec<What> = list
                .iter()
                .copied()
                .filter(|&at| shown[at])
                .map(What::Process)
                .collect();
            below.extend((hidden > 0).then_some(What::Hidden(hidden)));
            below
        };
        let mut rows = Vec::new();
        let mut stack = Vec::new();
        push_siblings(&mut stack, below(&self.roots, hidden_roots), 0, 0);
        while let Some(mut row) = stack.pop() {
            if let What::Process(index) = row.what {
                let children = below(&self.children[index], hidden_under[index]);
                row.has_children = !children.is_empty();
                // Roots have no line above them that could run on.
                let runs_on = row.followed && row.depth > 0 && row.depth <= DEPTH_DRAWN_MAX;
                let rails = if runs_on {
                    row.rails | 1 << row.depth
                } else {
                    row.rails
                };
                push_siblings(&mut stack, children, row.depth + 1, rails);
            }
            rows.push(row);
        }
        rows
    }
}

/// Puts siblings on the stack so that the first is taken first.
fn push_siblings(stack: &mut Vec<Row>, siblings: Vec<What>, depth: usize, rails: u32) {
    for (after, what) in siblings.into_iter().rev().enumerate() {
        stack.push(Row {
            what,
            depth,
            rails,
            followed: after > 0,
            has_children: false,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use saigen_schemas::report::Role;

    fn process(node: &str, parent: Option<&str>, start: i64) -> Process {
        Process {
            node: node.to_owned(),
            host: String::new(),
            pid: 1,
            guid: None,
            start: Some(Moment::from_us(start)),
            end: None,
            exit_code: None,
            image: None,
            sha256: None,
            command_line: None,
            command_line_had: None,
            cwd: None,
            parent: parent.map(str::to_owned),
            user: None,
            role: Role::Carrier,
            why: String::new(),
            evidence: Vec::new(),
        }
    }

    fn outline(processes: &[Process], rows: &[Row]) -> Vec<(String, usize)> {
        let name = |what| match what {
            What::Process(index) => processes[index].node.clone(),
            What::Hidden(count) => format!("+{count}"),
        };
        rows.iter().map(|row| (name(row.what), row.depth)).collect()
    }

    fn expect(processes: &[Process], most: usize, marked: &[&str], expected: &[(&str, usize)]) {
        let rows = rows(
            processes,
            |at| marked.contains(&processes[at].node.as_str()),
            most,
        );
        let expected: Vec<_> = expected.iter().map(|&(n, d)| (n.to_owned(), d)).collect();
        assert_eq!(outline(processes, &rows), expected);
    }

    #[test]
    fn children_follow_their_parent_in_order_of_time() {
        let tree = [
            process("b", Some("a"), 5),
            process("a", None, 1),
            process("c", Some("a"), 3),
            process("d", Some("c"), 4),
            process("e", Some("gone"), 2),
        ];
        expect(
            &tree,
            10,
            &[],
            &[("a", 0), ("c", 1), ("d", 2), ("b", 1), ("e", 0)],
        );
    }

    #[test]
    fn the_tree_that_matters_first_stands_first() {
        let tree = [
            process("old", None, 1),
            process("late", Some("old"), 9),
            process("new", None, 5),
            process("early", Some("new"), 6),
            process("idle", None, 2),
        ];
        expect(
            &tree,
            10,
            &["late", "early"],
            &[
                ("new", 0),
                ("early", 1),
                ("old", 0),
                ("late", 1),
                ("idle", 0),
            ],
        );
    }

    #[test]
    fn a_circle_of_parents_is_cut_open() {
        let circle = [
            process("a", Some("c"), 1),
            process("b", Some("a"), 2),
            process("c", Some("b"), 3),
            process("self", Some("self"), 4),
        ];
        expect(
            &circle,
            10,
            &[],
            &[("a", 0), ("b", 1), ("c", 2), ("self", 0)],
        );
    }

    #[test]
    fn what_is_left_out_is_counted_under_its_nearest_shown_ancestor() {
        let tree = [
            process("a", None, 1),
            process("b", Some("a"), 2),
            process("c", Some("b"), 3),
            process("d", Some("a"), 4),
            process("e", Some("d"), 5),
            process("r", None, 6),
        ];
        expect(
            &tree,
            3,
            &["e"],
            &[("a", 0), ("d", 1), ("e", 2), ("+2", 1), ("+1", 0)],
        );
    }

    #[test]
    fn rails_run_where_siblings_follow() {
        let tree = [
            process("a", None, 1),
            process("b", Some("a"), 2),
            process("c", Some("b"), 3),
            process("d", Some("a"), 4),
        ];
        let rows = rows(&tree, |_| false, 10);
        let rails: Vec<_> = rows.iter().map(|row| (row.rails, row.followed)).collect();
        assert_eq!(rails, [(0, false), (0, true), (0b10, false), (0, false)]);
    }

    #[test]
    fn a_chain_as_deep_as_it_is_long_is_drawn() {
        let mut chain = vec![process("0", None, 0)];
        for at in 1..50_000i64 {
            chain.push(process(&at.to_string(), Some(&(at - 1).to_string()), at));
        }
        assert_eq!(rows(&chain, |_| false, 100_000).len(), 50_000);
        assert_eq!(rows(&chain, |_| false, 2_000).len(), 2_001);
    }

    proptest! {
        #[test]
        fn every_process_is_drawn_or_counted_once(
            parents in proptest::collection::vec(proptest::option::of(0usize..60), 0..60),
            most in 1usize..80,
        ) {
            let tree: Vec<Process> = parents
                .iter()
                .zip(0i64..)
                .map(|(parent, at)| {
                    process(&at.to_string(), parent.map(|p| p.to_string()).as_deref(), at)
                })
                .collect();
            let rows = rows(&tree, |at| at % 3 == 0, most);
            let mut drawn = std::collections::BTreeSet::new();
            let mut hidden = 0;
            for row in &rows {
                match row.what {
                    What::Process(index) => prop_assert!(drawn.insert(index)),
                    What::Hidden(count) => hidden += count,
                }
            }
            prop_assert!(drawn.len() <= most);
            prop_assert_eq!(drawn.len() + hidden, tree.len());
        }
    }
}
