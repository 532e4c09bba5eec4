//! What each process of an incident did: its marks in the tree.

use std::collections::BTreeMap;

use saigen_schemas::report::{
    Act, Detection, Incident, NetworkItem, ObjectItem, PersistenceItem, Report,
};

/// What one process did, each list in the order of the report.
#[derive(Debug, Clone, Default)]
pub(super) struct Marks<'a> {
    pub network: Vec<&'a NetworkItem>,
    pub files: Vec<(&'a ObjectItem, &'a Act)>,
    pub registry: Vec<(&'a ObjectItem, &'a Act)>,
    pub persistence: Vec<&'a PersistenceItem>,
    pub detections: Vec<&'a Detection>,
}

impl Marks<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.counts().iter().all(|&(_, count)| count == 0)
    }

    /// The marks by name, in the order in which they are shown.
    pub(super) fn counts(&self) -> [(&'static str, usize); 5] {
        [
            ("net", self.network.len()),
            ("file", self.files.len()),
            ("reg", self.registry.len()),
            ("persist", self.persistence.len()),
            ("rule", self.detections.len()),
        ]
    }
}

/// The marks of every process of an incident, by node.
pub(super) fn by_process<'a>(
    report: &'a Report,
    incident: &'a Incident,
) -> BTreeMap<&'a str, Marks<'a>> {
    let mut marks: BTreeMap<&str, Marks<'a>> = BTreeMap::new();
    for flow in &incident.network {
        if let Some(node) = &flow.process {
            marks.entry(node).or_default().network.push(flow);
        }
    }
    for file in &incident.files {
        for act in &file.acts {
            if let Some(node) = &act.process {
                marks.entry(node).or_default().files.push((file, act));
            }
        }
    }
    for key in &incident.registry {
        for act in &key.acts {
            if let Some(node) = &act.process {
                marks.entry(node).or_default().registry.push((key, act));
            }
        }
    }
    for item in &incident.persistence {
        if let Some(node) = &item.process {
            marks.entry(node).or_default().persistence.push(item);
        }
    }
    for detection in &report.detections {
        if let (Some(node), Some(id)) = (&detection.process, &detection.incident)
            && *id == incident.id
        {
            marks.entry(node).or_default().detections.push(detection);
        }
    }
    marks
}
