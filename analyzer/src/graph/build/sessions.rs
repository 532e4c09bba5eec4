//! Sessions, accounts, and changes of identity.

use saigen_schemas::event::{
    CredentialsChanged, FailedLogon, Logoff, Logon, Outcome, PrivilegeSwitch, StateAccount, Text,
};

use crate::graph::build::{GraphBuilder, Says, Scene};
use crate::graph::store::{Account, Session};
use crate::graph::{Ground, NodeId, NodeKind, Verb};
use crate::replay::{HostId, Table, TextId, UnitId};

/// In place of a session id or a user id: there is none.
const UNSET: u32 = u32::MAX;

/// Accounts by user id and by name.
#[derive(Default)]
pub(super) struct Accounts {
    by_uid: Table<(HostId, u32), NodeId>,
    by_name: Table<(HostId, TextId), NodeId>,
    /// Homes by user id.
    pub(super) homes: Table<(HostId, u32), TextId>,
}

impl GraphBuilder {
    pub(super) fn account_stood(&mut self, scene: &Scene<'_>, account: &StateAccount<'_>) {
        let home = account.home.and_then(|home| self.texts.intern(home.0));
        if let Some((uid, home)) = account.uid.zip(home) {
            self.accounts.homes.insert((scene.applied.host, uid), home);
        }
    }

    pub(super) fn logged_on(&mut self, scene: &Scene<'_>, logon: &Logon<'_>) {
        let account = self.account(scene, logon.uid, logon.account);
        let origin = self.origin(scene, logon.remote_ip, logon.remote_host);
        let Some(session) = logon
            .session
            .and_then(|session| self.session(scene, session))
        else {
            // Without a session there is still who came from where.
            if let Some((origin, account)) = origin.zip(account) {
                self.link(scene, origin, account, Says::recorded(Verb::LoggedOn));
            }
            if let Some((actor, account)) = scene.actor.zip(account) {
                self.link(scene, actor, account, Says::recorded(Verb::LoggedOn));
            }
            return;
        };
        self.learn_session(session, logon);
        for from in [account, origin, scene.actor].into_iter().flatten() {
            self.link(scene, from, session, Says::recorded(Verb::LoggedOn));
        }
    }

    pub(super) fn logged_off(&mut self, scene: &Scene<'_>, logoff: &Logoff<'_>) {
        let session = logoff
            .session
            .and_then(|session| self.session(scene, session));
        let row = session.and_then(|session| self.session_row(session));
        if let Some(row) = row {
            row.end_us = Some(scene.at_us);
        }
    }

    pub(super) fn refused_logon(&mut self, scene: &Scene<'_>, refused: &FailedLogon<'_>) {
        let origin = self.origin(scene, refused.remote_ip, refused.remote_host);
        let Some(account) = self.account(scene, None, refused.account) else {
            return;
        };
        for from in [origin, scene.actor].into_iter().flatten() {
            self.link(scene, from, account, Says::recorded(Verb::FailedLogon));
        }
    }

    pub(super) fn switched(&mut self, scene: &Scene<'_>, switch: &PrivilegeSwitch<'_>) {
        let to = self.account(scene, None, switch.to_account);
        let verb = match switch.outcome {
            Some(Outcome::Failure) => Verb::FailedLogon,
            Some(Outcome::Success | Outcome::InProgress) | None => Verb::SwitchedTo,
        };
        if let Some((actor, to)) = scene.actor.zip(to) {
            self.link(scene, actor, to, Says::recorded(verb));
        }
    }

    pub(super) fn changed_identity(&mut self, scene: &Scene<'_>, change: &CredentialsChanged<'_>) {
        let changed = change.euid.filter(|&euid| change.old_euid != Some(euid));
        let Some(uid) = changed.filter(|_| change.outcome != Some(Outcome::Failure)) else {
            return;
        };
        let account = self.account(scene, Some(uid), None);
        if let Some((actor, account)) = scene.actor.zip(account) {
            self.link(scene, actor, account, Says::recorded(Verb::SwitchedTo));
        }
    }

    /// A process that is the first of its session: its parent belongs to another, or to none.
    pub(super) fn enters_session(&mut self, scene: &Scene<'_>, unit: UnitId, node: NodeId) -> bool {
        let processes = scene.replay.processes();
        let Some(session) = processes.session(unit) else {
            return false;
        };
        let before = processes.previous(unit).or_else(|| processes.parent(unit));
        if before.and_then(|before| processes.session(before)) == Some(session) {
            return false;
        }
        if let Some(session) = self.session(scene, session) {
            let says = Says {
                verb: Verb::LoggedOn,
                ground: Ground::SameSession,
            };
            self.link(scene, session, node, says);
        }
        true
    }

    /// The node of an account, by user id or by name.
    fn account(
        &mut self,
        scene: &Scene<'_>,
        uid: Option<u32>,
        name: Option<Text<'_>>,
    ) -> Option<NodeId> {
        let host = scene.applied.host;
        let uid = uid.filter(|&uid| uid != UNSET);
        let named = name.filter(|name| !name.is_empty());
        let named = named.or_else(|| scene.replay.processes().account(host, uid?));
        let name = named.and_then(|name| self.texts.intern(name.0));
        let by_uid = uid.and_then(|uid| self.accounts.by_uid.get(&(host, uid)).copied());
        let by_name = || self.accounts.by_name.get(&(host, name?)).copied();
        let known = by_uid.or_else(by_name);
        let node = match known {
            Some(node) => node,
            None if uid.is_none() && name.is_none() => return None,
            None => {
                let node = self.add_node(NodeKind::Account, self.store.accounts.len())?;
                self.store.accounts.push(Account { host, uid, name });
                node
            }
        };
        let row = self
            .store
            .nodes
            .get(node.index())
            .map(|node| node.row as usize);
        if let Some(account) = row.and_then(|row| self.store.accounts.get_mut(row)) {
            account.uid = account.uid.or(uid);
            account.name = account.name.or(name);
        }
        if let Some(uid) = uid {
            self.accounts.by_uid.insert((host, uid), node);
        }
        if let Some(name) = name {
            self.accounts.by_name.insert((host, name), node);
        }
        Some(node)
    }

    /// The node of a session.
    fn session(&mut self, scene: &Scene<'_>, session: u64) -> Option<NodeId> {
        if session == u64::from(UNSET) {
            return None;
        }
        let key = (scene.applied.machine, session);
        if let Some(&known) = self.sessions.get(&key) {
            return Some(known);
        }
        let node = self.add_node(NodeKind::Session, self.store.sessions.len())?;
        self.store.sessions.push(Session {
            host: scene.applied.host,
            session,
            account: None,
            terminal: None,
            remote_ip: None,
            remote_host: None,
            first_us: scene.at_us,
            end_us: None,
        });
        self.sessions.insert(key, node);
        Some(node)
    }

    fn session_row(&mut self, node: NodeId) -> Option<&mut Session> {
        let row = self.store.nodes.get(node.index())?.row as usize;
        self.store.sessions.get_mut(row)
    }

    fn learn_session(&mut self, node: NodeId, logon: &Logon<'_>) {
        let texts = &mut self.texts;
        let mut keep = |text: Option<Text<'_>>| text.and_then(|text| texts.intern(text.0));
        let account = keep(logon.account);
        let terminal = keep(logon.terminal);
        let remote_host = keep(logon.remote_host);
        if let Some(row) = self.session_row(node) {
            row.account = row.account.or(account);
            row.terminal = row.terminal.or(terminal);
            row.remote_host = row.remote_host.or(remote_host);
            row.remote_ip = row.remote_ip.or(logon.remote_ip);
        }
    }
}
