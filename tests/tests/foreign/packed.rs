//! Files packed as collections are.

use std::io::{Cursor, Write as _};

use saigen_tests::mutate::Random;

/// How many ways there are.
const WAYS: usize = 4;

/// Packs a file in one of the ways that are read, or in two of them.
pub fn pack(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let once = pack_by(random.below(WAYS), bytes);
    if random.below(4) == 0 {
        pack_by(random.below(WAYS), &once)
    } else {
        once
    }
}

/// Every way, for seeds.
pub fn every_way(bytes: &[u8]) -> Vec<Vec<u8>> {
    (0..WAYS).map(|way| pack_by(way, bytes)).collect()
}

fn pack_by(way: usize, bytes: &[u8]) -> Vec<u8> {
    match way {
        0 => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(bytes).unwrap();
            gzip.finish().unwrap()
        }
        1 => zstd::bulk::compress(bytes, 1).unwrap(),
        2 => {
            let mut tar = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, "logs/a.log", bytes).unwrap();
            tar.into_inner().unwrap()
        }
        _ => {
            let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
            let options = zip::write::SimpleFileOptions::default();
            zip.start_file("logs/a.log", options).unwrap();
            zip.write_all(bytes).unwrap();
            zip.finish().unwrap().into_inner()
        }
    }
}
