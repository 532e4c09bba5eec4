//! What is followed beside the records: audit's own state, accounts, mounts, and the bound on files.

use super::{Normalizer, sideband};
use crate::snapshot::{Root, accounts};
use crate::source::Feed;
use crate::source::audit::AuditNow;
use crate::source::fanotify::{Files, Refusal};
use crate::source::perf::record::RecordKind;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::sync::Arc;

impl Normalizer {
    /// What is known of audit by its own answers.
    #[must_use]
    pub fn audit_now(&self) -> AuditNow {
        AuditNow {
            status: self.assembler.status,
            rules: self.assembler.rules,
        }
    }

    /// Brings what audit counts by itself into the ledger. `before` is what the kernel had lost when
    /// recording began.
    pub fn settle_losses(&mut self, before: u32) {
        let assembler = &self.assembler;
        let kernel = assembler
            .kernel_lost
            .map_or(0, |lost| lost.wrapping_sub(before));
        let serials = assembler.missing_serials.saturating_add(assembler.unread);
        // A record that the kernel dropped may leave a serial without records, or not: the larger
        // count is the nearer to the truth.
        self.ledger
            .lost_in_all(Feed::Audit, serials.max(u64::from(kernel)));
    }

    /// Looks at no more file events than these until it is said anew; `None` for all.
    pub fn bound_files(&mut self, files: Option<u64>) {
        self.files_left = files;
    }

    /// How many file events were passed over since the last call.
    pub fn take_passed_over(&mut self) -> u64 {
        std::mem::take(&mut self.passed_over)
    }

    /// Reads the names of accounts again, if they changed.
    pub fn follow_accounts(&mut self) {
        let changed = std::fs::metadata("/etc/passwd")
            .and_then(|status| status.modified())
            .ok();
        if changed.is_none() || changed == self.accounts_changed {
            return;
        }
        let Ok(root) = Root::open(None) else { return };
        let Some(passwd) = root.read(b"/etc/passwd") else {
            return;
        };
        self.accounts_changed = changed;
        self.accounts.clear();
        for account in accounts::parse(&passwd.content) {
            // Of several names of one user the first is the one that the system shows.
            self.accounts
                .entry(account.uid)
                .or_insert_with(|| Arc::from(account.name));
        }
    }

    /// Looks into a mount namespace as soon as it is heard of: what is mounted and written there
    /// soon after is missed otherwise.
    pub(super) fn look_into(&mut self, kind: &RecordKind<'_>) {
        if let (Some(files), RecordKind::Namespaces { pid, inodes, .. }) = (&mut self.files, kind) {
            files.enter(*pid, inodes[sideband::MOUNTS]);
        }
    }

    /// The file systems that cannot be watched of those that came since the last call, in words.
    pub fn refused_mounts(&mut self) -> Vec<String> {
        let refusals = self.files.as_mut().map(Files::take_refusals);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let words = |refusal: Refusal| {
            let Refusal {
                mount_point,
                fs_type,
                cause,
            } = refusal;
            format!(
                "changes below {} ({}) are missed: {cause}",
                text(&mount_point),
                text(&fs_type)
            )
        };
        refusals.into_iter().flatten().map(words).collect()
    }

    /// Follows mounts that came and went.
    pub fn follow_mounts(&mut self) {
        let Some(files) = &mut self.files else { return };
        let mut fds: Vec<PollFd<'_>> = files
            .mount_fds()
            .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::PRI))
            .collect();
        let changed = poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
        if changed && files.mounts_changed().is_err() {
            self.ledger.overrun(Feed::Fanotify, 1);
        }
    }
}
