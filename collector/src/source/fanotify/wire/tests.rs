//! Records of fanotify as the kernel writes them, cut and bent.

#![expect(
    clippy::host_endian_bytes,
    reason = "the kernel's structures are in the machine's own order"
)]

use super::*;

pub fn information(kind: u8, fsid: u64, handle: &[u8], name: Option<&[u8]>) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(fsid.to_ne_bytes());
    body.extend(u32::try_from(handle.len()).unwrap().to_ne_bytes());
    body.extend(1_i32.to_ne_bytes());
    body.extend(handle);
    if let Some(name) = name {
        body.extend(name);
        body.push(0);
    }
    while body.len() % 4 != 0 {
        body.push(0);
    }
    let mut record = vec![kind, 0];
    record.extend(u16::try_from(body.len() + 4).unwrap().to_ne_bytes());
    record.extend(body);
    record
}

pub fn event(mask: u64, pid: i32, informations: &[Vec<u8>]) -> Vec<u8> {
    let extra: usize = informations.iter().map(Vec::len).sum();
    let mut bytes = Vec::new();
    bytes.extend(u32::try_from(24 + extra).unwrap().to_ne_bytes());
    bytes.extend([3, 0]);
    bytes.extend(24_u16.to_ne_bytes());
    bytes.extend(mask.to_ne_bytes());
    bytes.extend((-1_i32).to_ne_bytes());
    bytes.extend(pid.to_ne_bytes());
    for information in informations {
        bytes.extend(information);
    }
    bytes
}

#[test]
fn a_creation_and_a_rename_are_read() {
    let mut bytes = event(
        libc::FAN_CREATE,
        42,
        &[
            information(
                libc::FAN_EVENT_INFO_TYPE_DFID_NAME,
                7,
                b"dirhandl",
                Some(b"passwd"),
            ),
            information(libc::FAN_EVENT_INFO_TYPE_FID, 7, b"filehand", None),
        ],
    );
    bytes.extend(event(
        libc::FAN_RENAME,
        43,
        &[
            information(
                libc::FAN_EVENT_INFO_TYPE_OLD_DFID_NAME,
                7,
                b"dirhandl",
                Some(b"a"),
            ),
            information(
                libc::FAN_EVENT_INFO_TYPE_NEW_DFID_NAME,
                7,
                b"dirhand2",
                Some(b"b"),
            ),
        ],
    ));
    let read: Vec<_> = events(&bytes).map(Result::unwrap).collect();
    assert_eq!(read.len(), 2);
    assert_eq!(read[0].pid, 42);
    assert_eq!(read[0].at.unwrap().name, b"passwd");
    assert_eq!(read[0].at.unwrap().dir.handle, b"dirhandl");
    assert_eq!(read[0].object.unwrap().handle, b"filehand");
    assert_eq!(read[1].from.unwrap().name, b"a");
    assert_eq!(read[1].to.unwrap().dir.handle, b"dirhand2");
}

#[test]
fn a_directory_in_itself_has_no_name() {
    let bytes = event(
        libc::FAN_ATTRIB,
        1,
        &[information(
            libc::FAN_EVENT_INFO_TYPE_DFID_NAME,
            7,
            b"dirhandl",
            Some(b"."),
        )],
    );
    let read = events(&bytes).next().unwrap().unwrap();
    assert_eq!(read.at.unwrap().name, b"");
}

#[test]
fn every_lying_length_is_an_error_or_stays_inside() {
    let bytes = event(
        libc::FAN_CREATE,
        42,
        &[
            information(
                libc::FAN_EVENT_INFO_TYPE_DFID_NAME,
                7,
                b"dirhandl",
                Some(b"passwd"),
            ),
            information(libc::FAN_EVENT_INFO_TYPE_FID, 7, b"filehand", None),
        ],
    );
    // Each of the places where a length or a type stands, with each of the values that break parsers.
    for at in 0..bytes.len() {
        for value in [0_u8, 1, 3, 4, 23, 127, 128, 255] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            for event in events(&damaged).take(100).flatten() {
                for place in [event.at, event.from, event.to].into_iter().flatten() {
                    assert!(place.name.len() + place.dir.handle.len() < damaged.len());
                }
            }
        }
    }
}

#[test]
fn a_length_of_nothing_does_not_stand_still() {
    let mut bytes = event(libc::FAN_CREATE, 1, &[]);
    bytes[..4].copy_from_slice(&0_u32.to_ne_bytes());
    assert_eq!(events(&bytes).count(), 1);
    assert!(events(&bytes).next().unwrap().is_err());
    let mut bytes = event(
        libc::FAN_CREATE,
        1,
        &[information(
            libc::FAN_EVENT_INFO_TYPE_FID,
            7,
            b"filehand",
            None,
        )],
    );
    bytes[26..28].copy_from_slice(&0_u16.to_ne_bytes());
    assert!(events(&bytes).next().unwrap().is_err());
}

#[test]
fn every_cut_is_an_error() {
    let bytes = event(
        libc::FAN_CREATE,
        42,
        &[information(
            libc::FAN_EVENT_INFO_TYPE_DFID_NAME,
            7,
            b"dirhandl",
            Some(b"passwd"),
        )],
    );
    for cut in 1..bytes.len() {
        assert!(
            events(&bytes[..cut]).next().unwrap().is_err(),
            "cut at {cut}"
        );
    }
}
