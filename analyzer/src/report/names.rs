//! What the nodes of an incident are called, where only words are shown.

use std::collections::BTreeMap;

use saigen_schemas::report::{Incident, Process};

/// The words for each node of an incident.
pub(super) struct Names<'a>(BTreeMap<&'a str, String>);

impl<'a> Names<'a> {
    pub(super) fn new(incident: &'a Incident) -> Self {
        let mut names = BTreeMap::new();
        for process in &incident.processes {
            let name = format!("{} [{}]", base_name(process), process.pid);
            names.entry(process.node.as_str()).or_insert(name);
        }
        for object in incident.files.iter().chain(&incident.registry) {
            names
                .entry(object.node.as_str())
                .or_insert_with(|| object.path.clone());
        }
        for flow in &incident.network {
            let end = flow
                .remote
                .as_deref()
                .or(flow.local.as_deref())
                .unwrap_or("?");
            names
                .entry(flow.node.as_str())
                .or_insert_with(|| end.to_owned());
        }
        Self(names)
    }

    /// The words for a node; a node that the incident does not list is its own.
    pub(super) fn of(&self, node: &'a str) -> &str {
        self.0.get(node).map_or(node, String::as_str)
    }

    /// The words for a node that may be missing.
    pub(super) fn of_some(&self, node: Option<&'a str>) -> &str {
        node.map_or("", |node| self.of(node))
    }
}

/// The last part of a process's image.
pub(super) fn base_name(process: &Process) -> &str {
    let image = process.image.as_deref().unwrap_or("(no image)");
    image
        .rsplit(['/', '\\'])
        .find(|part| !part.is_empty())
        .unwrap_or(image)
}
