//! The graph of what happened: nodes are things, edges are what one did to another, each with
//! the records that say so.
//!
//! [`GraphBuilder`] takes the replayed stream event by event; [`GraphBuilder::finish`] gives a
//! [`Graph`], which is only read. How it is used:
//!
//! - from a detection's event to the graph: [`Graph::actor_at`], [`Graph::edges_at`];
//! - back to causes: [`Graph::before`]; forward to effects: [`Graph::after`]; never against time; many
//!   steps at once: [`Graph::walk`];
//! - hubs are seen by their structure: [`Graph::fan_out`], [`Graph::in_degree`];
//! - everything, in a stable order: [`Graph::nodes`], [`Graph::edges`].
//!
//! The graph does not know what is malicious, and nothing here interprets a command line beyond
//! the files that it names.

mod build;
mod edge;
mod edges;
mod node;
mod places;
mod query;
mod refs;
mod store;
#[cfg(test)]
mod tests;
mod walk;

pub use build::GraphBuilder;
pub use edge::{Edge, EdgeId, Ground, Verb};
pub use node::{
    AccountNode, Alias, EndpointNode, Exit, FileForm, FileNode, HostNode, ModuleForm, ModuleNode,
    NameNode, Node, NodeId, NodeKind, PersistenceKind, PersistenceNode, PipeNode, ProcessNode,
    RegistryNode, SessionNode,
};
pub use places::autostart_place;
pub use query::{Crossing, Graph, HostClock, Memory};
pub use walk::{Reached, Way};
