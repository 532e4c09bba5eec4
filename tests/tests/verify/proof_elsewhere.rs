//! What is shown of a journal elsewhere: the proof of one record, and a reader that shares no code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::program::saigen;

fn house() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package stands in the house")
}

fn done(output: &Output) -> String {
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The second reader's interpreter, if what it needs is installed: `SAIGEN_PYTHON` names another.
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("SAIGEN_PYTHON").map_or("python3".into(), PathBuf::from);
    let asked = Command::new(&python)
        .args(["-c", "import blake3, cryptography, zstandard"])
        .stderr(Stdio::null())
        .status();
    asked.is_ok_and(|status| status.success()).then_some(python)
}

#[test]
fn a_proof_holds_for_a_reader_that_shares_no_code() {
    let Some(python) = python() else {
        println!("skipped: the second reader needs blake3, cryptography and zstandard");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let bundled = house().join("fixtures/bundled/intrusion");
    let (journal, public) = (bundled.join("journal"), bundled.join("enrolment.pub"));
    let [journal, key] = [&journal, &public].map(|path| path.to_str().unwrap());
    done(&saigen(
        &[
            "prove",
            journal,
            "e1:3:2",
            "--key",
            key,
            "-o",
            "record.proof",
        ],
        at,
    ));
    let read = |name: &str| {
        Command::new(&python)
            .arg(house().join("tests/reader/read_journal.py"))
            .args(["--proof", name, "--public", key])
            .current_dir(at)
            .output()
            .unwrap()
    };
    let told: Value = serde_json::from_str(&done(&read("record.proof"))).unwrap();
    assert_eq!((&told["position"], &told["index"]), (&3.into(), &2.into()));
    assert_eq!(told["holds"], true);
    let proof = fs::read(at.join("record.proof")).unwrap();
    // The row, a node beside the way, the header, the signature.
    for byte in [60, proof.len() / 3, proof.len() / 2, proof.len() - 40] {
        let mut forged = proof.clone();
        forged[byte] ^= 1;
        fs::write(at.join("forged.proof"), forged).unwrap();
        assert!(!read("forged.proof").status.success(), "byte {byte}");
        let public = ["check-proof", "forged.proof", "--public-key", key];
        assert_ne!(saigen(&public, at).status.code(), Some(0), "byte {byte}");
    }
}
