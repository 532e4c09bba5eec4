//! Checkpoints: which key signs them, and whether they say what was read.

use saigen_schemas::journal::checkpoint::{Checkpoint, CheckpointKey, PublicKey};
use saigen_schemas::journal::merkle::{Growing, frame_leaf};
use saigen_schemas::journal::seal::{ChainValue, EnrolmentId, EnrolmentSecret};
use saigen_schemas::journal::{FrameHeader, Opening};

/// What the signatures of a journal are held against.
#[derive(Clone, Copy, Debug)]
pub(super) enum Root<'a> {
    /// The enrolment's secret: the key of every generation follows from it.
    Secret(&'a EnrolmentSecret),
    /// The public key of generation 0: those after it are signed for, one by one.
    Public(PublicKey),
    /// Nothing: only what contradicts itself is found.
    None,
}

/// How far a public key is known to be the enrolment's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// It follows from what the examiner holds.
    Proven,
    /// The journal says so.
    Claimed,
}

/// The signer of the open segment, and what it signs.
#[derive(Debug)]
pub(super) struct Signatures {
    enrolment: Option<EnrolmentId>,
    secret: Option<CheckpointKey>,
    first: Option<PublicKey>,
    signer: Option<Signer>,
    segment: u32,
    first_position: u64,
    tree: Growing,
    /// Whether no frame of the segment is missing so far.
    whole: bool,
}

#[derive(Clone, Copy, Debug)]
struct Signer {
    generation: u32,
    key: PublicKey,
    trust: Trust,
}

impl Signatures {
    pub(super) fn new(enrolment: Option<EnrolmentId>, root: Root<'_>) -> Self {
        let (secret, first) = match root {
            Root::Secret(secret) => (Some(CheckpointKey::first(secret)), None),
            Root::Public(key) => (None, Some(key)),
            Root::None => (None, None),
        };
        Self {
            enrolment,
            secret,
            first,
            signer: None,
            segment: 0,
            first_position: 0,
            tree: Growing::default(),
            whole: false,
        }
    }

    /// A segment is opened, maybe by a new key.
    ///
    /// # Errors
    /// In words, where that key cannot be the enrolment's.
    pub(super) fn opening(
        &mut self,
        header: &FrameHeader,
        opening: &Opening,
    ) -> Result<(), &'static str> {
        self.tree = Growing::default();
        self.segment = opening.segment;
        self.first_position = header.position;
        self.whole = true;
        let before = self.signer.take();
        let Some(generation) = opening.generation else {
            return if opening.sealed {
                Err("its opening does not say which key signs it")
            } else {
                Ok(())
            };
        };
        let succession = match &opening.succession {
            None => None,
            Some(text) => Some(
                text.read(generation)
                    .ok_or("its opening names no public key")?,
            ),
        };
        let follows = |old: PublicKey| {
            self.enrolment
                .zip(succession)
                .is_some_and(|(enrolment, succession)| succession.holds(enrolment, old))
        };
        let signer = |key, trust| {
            Some(Signer {
                generation,
                key,
                trust,
            })
        };
        if let Some(secret) = &self.secret {
            let own = secret
                .later(generation)
                .ok_or("its opening names an impossible generation of keys")?;
            let old = generation.checked_sub(1).and_then(|old| secret.later(old));
            let good = match old {
                None => succession.is_none(),
                Some(old) => {
                    follows(old.public())
                        && succession.is_some_and(|new| new.public_key == own.public())
                }
            };
            self.signer = signer(own.public(), Trust::Proven);
            return if good {
                Ok(())
            } else {
                Err("the key that signs it is not the enrolment's")
            };
        }
        let claimed = succession.map(|succession| succession.public_key);
        self.signer = match (before, claimed) {
            (_, None) => self
                .first
                .filter(|_| generation == 0)
                .and_then(|key| signer(key, Trust::Proven)),
            (Some(old), Some(key)) if old.generation.checked_add(1) == Some(generation) => {
                if !follows(old.key) {
                    return Err("the key that signs it was not signed for by the one before");
                }
                signer(key, old.trust)
            }
            (_, Some(key)) => {
                let first = self.first.filter(|_| generation == 1);
                if first.is_some_and(|first| !follows(first)) {
                    return Err("the key that signs it was not signed for by the enrolment's");
                }
                signer(
                    key,
                    if first.is_some() {
                        Trust::Proven
                    } else {
                        Trust::Claimed
                    },
                )
            }
        };
        Ok(())
    }

    /// Frames of the segment are missing.
    pub(super) fn missing(&mut self) {
        self.whole = false;
    }

    /// A frame of the segment, in order.
    pub(super) fn frame(&mut self, digest: &[u8; 32]) {
        self.tree.push(frame_leaf(digest));
    }

    /// Holds a checkpoint against what was read before it. `chain` is its value before the frame,
    /// where that is known. Gives how far its key is known; `None` where it cannot be checked.
    ///
    /// # Errors
    /// In words, where it says something else, or its signature does not hold.
    pub(super) fn checkpoint(
        &self,
        checkpoint: &Checkpoint,
        header: &FrameHeader,
        chain: Option<ChainValue>,
    ) -> Result<Option<Trust>, &'static str> {
        let Some(chain) = chain else {
            return Ok(None);
        };
        let says = (
            Some(checkpoint.enrolment),
            checkpoint.segment,
            checkpoint.position,
            checkpoint.chain,
            checkpoint.events,
            checkpoint.wall_us,
        );
        let read = (
            self.enrolment,
            self.segment,
            header.position,
            chain,
            header.first_seq,
            header.wall_us,
        );
        let tree = (checkpoint.first_position, checkpoint.segment_root);
        if says != read || (self.whole && tree != (self.first_position, self.tree.root())) {
            return Err("the checkpoint says something else than what was read before it");
        }
        let Some(signer) = self.signer else {
            return Ok(None);
        };
        if signer.generation == checkpoint.generation && checkpoint.holds(signer.key) {
            Ok(Some(signer.trust))
        } else {
            Err("the signature of the checkpoint does not hold")
        }
    }
}
