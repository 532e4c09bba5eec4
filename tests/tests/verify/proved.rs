//! The proof of one record: it convinces who has the public key, and nothing else does.

use saigen_analyzer::evidence::{Asked, Key, ProveError, open, prove, verify};
use saigen_analyzer::reference::Citations;
use saigen_schemas::journal::Proof;
use saigen_schemas::journal::seal::{EnrolmentId, EnrolmentSecret};
use saigen_schemas::journal::{AuditorKey, Enrolment};

use crate::forged::Court;
use crate::maker::{Recorder, Sealing};

fn public(enrolment: u8) -> Enrolment {
    let auditor = AuditorKey {
        enrolment: EnrolmentId([enrolment; 16]),
        secret: EnrolmentSecret([enrolment; 32]),
        ahead: 32,
    };
    auditor.public()
}

fn proof_of(court: &Court, reference: &str) -> Result<Proof, ProveError> {
    let key = Key::read(&court.keys.public).unwrap();
    let found = open(&[court.journal()]);
    let asked = Asked {
        key: Some(&key),
        ..Asked::default()
    };
    let verified = verify(&found.journals[0], asked, &mut |_| {});
    let reference = Citations::default().find(&reference.parse().unwrap());
    prove(&found.journals[0], &verified, reference.unwrap())
}

#[test]
fn every_record_before_a_signature_can_be_proved_and_no_other() {
    let mut story = Recorder::story(1, Sealing::Sealed).again();
    for _ in 0..3 {
        story.open();
        story.work(5);
        story.checkpoint();
    }
    story.open();
    story.work(300);
    story.checkpoint();
    story.work(1);
    let court = Court::new(story);
    let (mut proved, mut unsigned) = (0, 0);
    for position in 11..40 {
        for index in [0, 4, 299] {
            match proof_of(&court, &format!("e1:{position}:{index}")) {
                Ok(proof) => {
                    let bytes = proof.write();
                    let keys = 96 * proof.successions.len();
                    assert!(bytes.len() - keys <= 2048, "{} bytes", bytes.len());
                    assert_eq!(Proof::read(&bytes), Ok(proof.clone()));
                    assert!(proof.check(&public(1)).is_ok());
                    assert!(proof.check(&public(2)).is_err());
                    proved += 1;
                }
                Err(ProveError::Unsigned) => unsigned += 1,
                Err(error) => assert_eq!(error, ProveError::NoRecord, "{position}:{index}"),
            }
        }
    }
    assert_eq!((proved, unsigned), (9, 1));
}

#[test]
fn every_flipped_bit_of_a_proof_is_noticed() {
    let court = Court::sealed();
    let proof = proof_of(&court, "e1:2:1").unwrap();
    let bytes = proof.write();
    for bit in 0..bytes.len() * 8 {
        let mut forged = bytes.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let holds = Proof::read(&forged).is_ok_and(|proof| proof.check(&public(1)).is_ok());
        assert!(!holds, "bit {bit}");
    }
    for cut in 0..bytes.len() {
        assert!(Proof::read(&bytes[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn what_has_no_seals_proves_nothing() {
    let court = Court::new(Recorder::story(1, Sealing::Unsealed));
    assert_eq!(proof_of(&court, "e1:2:1"), Err(ProveError::Unsealed));
}
