//! Checkpoints: which key signs them, and whether they say what was read.

use saigen_schemas::journal::checkpoint::{Checkpoint, CheckpointKey, PublicKey, Succession};
use saigen_schemas::journal::merkle::{Growing, frame_leaf};
use saigen_schemas::journal::seal::{EnrolmentId, EnrolmentSecret};
use saigen_schemas::journal::{FrameHeader, Opening, Removed, SuccessionText};

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
    /// The key of generation 0, and the one of the last generation that was asked for.
    secret: Option<(CheckpointKey, CheckpointKey)>,
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
            Root::Secret(secret) => {
                let first = CheckpointKey::first(secret);
                (Some((first.clone(), first)), None)
            }
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
        let successions = read_successions(&opening.successions, generation)
            .ok_or("its opening names no public key")?;
        if self.secret.is_some() {
            return self.opened_by_secret(generation, &successions);
        }
        self.signer = self.opened_by_public(before, generation, &successions)?;
        Ok(())
    }

    /// Who has the secret knows the key of every generation.
    fn opened_by_secret(
        &mut self,
        generation: u32,
        successions: &[Succession],
    ) -> Result<(), &'static str> {
        let own = self
            .own_key(generation)
            .ok_or("its opening names an impossible generation of keys")?;
        self.signer = Some(Signer {
            generation,
            key: own,
            trust: Trust::Proven,
        });
        let Some(enrolment) = self.enrolment else {
            return Ok(());
        };
        let from = generation.saturating_sub(u32::try_from(successions.len()).unwrap_or(u32::MAX));
        let named = successions.last().map(|last| last.public_key);
        let begins = self.own_key(from);
        let good = match named {
            None => generation == 0,
            Some(named) => {
                named == own && begins.is_some_and(|begin| leads(enrolment, begin, successions))
            }
        };
        if good {
            Ok(())
        } else {
            Err("the key that signs it is not the enrolment's")
        }
    }

    /// The public key of a generation, from the secret.
    fn own_key(&mut self, generation: u32) -> Option<PublicKey> {
        let (first, reached) = self.secret.as_mut()?;
        let key = reached
            .later(generation)
            .or_else(|| first.later(generation))?;
        *reached = key;
        Some(reached.public())
    }

    /// Who has the public key of generation 0 follows it from signature to signature.
    fn opened_by_public(
        &self,
        before: Option<Signer>,
        generation: u32,
        successions: &[Succession],
    ) -> Result<Option<Signer>, &'static str> {
        let steps = u32::try_from(successions.len()).unwrap_or(u32::MAX);
        let from = generation.saturating_sub(steps);
        let first = self.first.map(|key| Signer {
            generation: 0,
            key,
            trust: Trust::Proven,
        });
        let named = successions.last().map(|last| last.public_key);
        // A recorder that was stopped between two steps opens with the same key again.
        if let Some(same) = before.filter(|old| old.generation == generation)
            && named.is_none_or(|named| named == same.key)
        {
            return Ok(Some(same));
        }
        let known = [before, first]
            .into_iter()
            .flatten()
            .find(|known| known.generation == from);
        let Some(key) = named else {
            return Ok(known.filter(|_| generation == 0));
        };
        let signer = |trust| Signer {
            generation,
            key,
            trust,
        };
        match (known, self.enrolment) {
            (Some(known), Some(enrolment)) => {
                if leads(enrolment, known.key, successions) {
                    Ok(Some(signer(known.trust)))
                } else {
                    Err("the key that signs it was not signed for by the one before")
                }
            }
            (None, _) | (_, None) => Ok(Some(signer(Trust::Claimed))),
        }
    }

    /// Takes up the keys of segments that are gone, as a list of removed segments tells them: each is
    /// signed for by the one before, from the enrolment's own.
    pub(super) fn foretold(&mut self, successions: &[Succession]) {
        let (Some(enrolment), Some(first)) = (self.enrolment, self.first) else {
            return;
        };
        let begins = successions.first().is_some_and(|step| step.generation == 1);
        if let Some(last) = successions.last()
            && begins
            && leads(enrolment, first, successions)
        {
            self.signer = Some(Signer {
                generation: last.generation,
                key: last.public_key,
                trust: Trust::Proven,
            });
        }
    }

    /// Frames of the segment are missing.
    pub(super) fn missing(&mut self) {
        self.whole = false;
    }

    /// A frame of the segment, in order.
    pub(super) fn frame(&mut self, digest: &[u8; 32]) {
        self.tree.push(frame_leaf(digest));
    }

    /// Holds a checkpoint against what was read before it, under the header of its frame. Gives how
    /// far its key is known; `None` where it cannot be checked.
    ///
    /// # Errors
    /// In words, where it says something else, or its signature does not hold.
    pub(super) fn checkpoint(
        &self,
        checkpoint: &Checkpoint,
        header: &FrameHeader,
    ) -> Result<Option<Trust>, &'static str> {
        let tree = (checkpoint.first_position, checkpoint.segment_root);
        let other = checkpoint.segment != self.segment
            || (self.whole && tree != (self.first_position, self.tree.root()));
        if other {
            return Err("the checkpoint says something else than what was read before it");
        }
        let Some((signer, enrolment)) = self.signer.zip(self.enrolment) else {
            return Ok(None);
        };
        let holds = checkpoint.holds(enrolment, header, signer.key);
        if signer.generation == checkpoint.generation && holds {
            Ok(Some(signer.trust))
        } else {
            Err("the signature of the checkpoint does not hold")
        }
    }
}

/// The successions of a list that ends with the key of a generation; `None` if a part of it is no
/// key, or there are more than generations.
pub(super) fn read_successions(
    texts: &[SuccessionText],
    generation: u32,
) -> Option<Vec<Succession>> {
    let steps = u32::try_from(texts.len()).ok()?;
    let first = generation.checked_sub(steps)?.checked_add(1)?;
    (first..)
        .zip(texts)
        .map(|(generation, text)| text.read(generation))
        .collect()
}

/// The changes of the key that lists of removed segments tell, from generation 1 on as far as they
/// follow each other.
pub(super) fn told_by(lists: &[Removed]) -> Vec<Succession> {
    let mut way: Vec<Succession> = Vec::new();
    for list in lists {
        for step in read_successions(&list.successions, list.generation).unwrap_or_default() {
            if u32::try_from(way.len()).is_ok_and(|len| len + 1 == step.generation) {
                way.push(step);
            }
        }
    }
    way
}

/// Whether each key is signed for by the one before it.
fn leads(enrolment: EnrolmentId, mut key: PublicKey, successions: &[Succession]) -> bool {
    successions.iter().all(|succession| {
        let holds = succession.holds(enrolment, key);
        key = succession.public_key;
        holds
    })
}
