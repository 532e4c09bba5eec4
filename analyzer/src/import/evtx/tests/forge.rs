//! Event logs made by hand, for tests: one template, a few records in each chunk.

use crate::import::evtx::chunk::{CHUNK_BYTES, CHUNK_HEADER_BYTES};

/// Bytes of the file's header block.
const FILE_HEADER_BYTES: usize = 4096;

/// A value of a record: its type, and its bytes.
type Value = (u8, Vec<u8>);

/// A log whose chunks hold these many records each, numbered from 1.
pub(super) fn log(chunks: &[usize]) -> Vec<u8> {
    let mut file = vec![0; FILE_HEADER_BYTES];
    let mut next = 1;
    for &records in chunks {
        file.extend(chunk(next, records));
        next += records as u64;
    }
    file[..8].copy_from_slice(b"ElfFile\0");
    file[16..24].copy_from_slice(&(chunks.len() as u64 - 1).to_le_bytes());
    file[24..32].copy_from_slice(&next.to_le_bytes());
    file[32..36].copy_from_slice(&128_u32.to_le_bytes());
    file[38..40].copy_from_slice(&3_u16.to_le_bytes());
    file[40..42].copy_from_slice(&4096_u16.to_le_bytes());
    file[42..44].copy_from_slice(&u16::try_from(chunks.len()).unwrap().to_le_bytes());
    seal_file(&mut file);
    file
}

/// Writes the file header's checksum again.
pub(super) fn seal_file(file: &mut [u8]) {
    let crc = crc32fast::hash(&file[..120]);
    file[124..128].copy_from_slice(&crc.to_le_bytes());
}

/// Writes the checksums of a chunk again.
pub(super) fn seal_chunk(chunk: &mut [u8]) {
    let free = u32::from_le_bytes(chunk[48..52].try_into().unwrap()) as usize;
    let records = crc32fast::hash(&chunk[CHUNK_HEADER_BYTES..free]);
    chunk[52..56].copy_from_slice(&records.to_le_bytes());
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&chunk[..120]);
    hasher.update(&chunk[128..CHUNK_HEADER_BYTES]);
    chunk[124..128].copy_from_slice(&hasher.finalize().to_le_bytes());
}

fn chunk(first: u64, records: usize) -> Vec<u8> {
    let mut bytes = vec![0; CHUNK_HEADER_BYTES];
    let mut template = None;
    let mut last_start = 0;
    for number in 0..records as u64 {
        last_start = bytes.len();
        record(&mut bytes, first + number, &mut template);
    }
    let free = bytes.len();
    bytes.resize(CHUNK_BYTES, 0);
    bytes[..8].copy_from_slice(b"ElfChnk\0");
    let last = first + records as u64 - 1;
    for (at, id) in [(8, first), (16, last), (24, first), (32, last)] {
        bytes[at..at + 8].copy_from_slice(&id.to_le_bytes());
    }
    for (at, number) in [(40, 128), (44, last_start), (48, free)] {
        let number = u32::try_from(number).unwrap();
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    seal_chunk(&mut bytes);
    bytes
}

/// Appends a record; the first of a chunk carries the template.
fn record(bytes: &mut Vec<u8>, id: u64, template: &mut Option<u32>) {
    let start = bytes.len();
    // 2024-01-01T00:00:00Z and `id` seconds, in 100 ns since 1601.
    let written = 133_485_408_000_000_000 + id * 10_000_000;
    bytes.extend_from_slice(b"**\0\0\0\0\0\0");
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(&written.to_le_bytes());
    bytes.extend_from_slice(&[0x0f, 1, 1, 0, 0x0c, 1, 7, 0, 0, 0]);
    let here = u32::try_from(bytes.len() + 4).unwrap();
    let at = *template.get_or_insert(here);
    bytes.extend_from_slice(&at.to_le_bytes());
    if at == here {
        let body = body(bytes.len() + 24);
        bytes.extend_from_slice(&[0; 20]);
        bytes.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(&body);
    }
    let values: [Value; 5] = [
        (0x06, 1_u16.to_le_bytes().to_vec()),
        (0x11, written.to_le_bytes().to_vec()),
        (0x0a, id.to_le_bytes().to_vec()),
        (0x01, utf16(&format!("C:\\t\u{e9}st\\{id}.exe"))),
        (0x81, utf16("one\0two\0")),
    ];
    bytes.extend_from_slice(&u32::try_from(values.len()).unwrap().to_le_bytes());
    for (kind, value) in &values {
        let len = u16::try_from(value.len()).unwrap();
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&[*kind, 0]);
    }
    for (_, value) in &values {
        bytes.extend_from_slice(value);
    }
    bytes.push(0);
    let size = u32::try_from(bytes.len() - start + 4).unwrap();
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes[start + 4..start + 8].copy_from_slice(&size.to_le_bytes());
}

/// The template's body, which begins at a place in the chunk: names stand where they are used.
fn body(start: usize) -> Vec<u8> {
    let mut out = vec![0x0f, 1, 1, 0];
    let open = |out: &mut Vec<u8>, name: &str, attributes: &[(&str, Content<'_>)]| {
        out.push(if attributes.is_empty() { 0x01 } else { 0x41 });
        out.extend_from_slice(&[0xff, 0xff, 0, 0, 0, 0]);
        put_name(out, start, name);
        if !attributes.is_empty() {
            out.extend_from_slice(&[0; 4]);
        }
        for (name, content) in attributes {
            out.push(0x06);
            put_name(out, start, name);
            content.put(out);
        }
        out.push(0x02);
    };
    let leaf = |out: &mut Vec<u8>, content: Content<'_>| {
        content.put(out);
        out.push(0x04);
    };
    open(&mut out, "Event", &[]);
    open(&mut out, "System", &[]);
    open(
        &mut out,
        "Provider",
        &[("Name", Content::Text("Microsoft-Windows-Sysmon"))],
    );
    out.push(0x04);
    open(&mut out, "EventID", &[]);
    leaf(&mut out, Content::Place(0));
    open(
        &mut out,
        "TimeCreated",
        &[("SystemTime", Content::Place(1))],
    );
    out.push(0x04);
    open(&mut out, "EventRecordID", &[]);
    leaf(&mut out, Content::Place(2));
    open(&mut out, "Channel", &[]);
    leaf(
        &mut out,
        Content::Text("Microsoft-Windows-Sysmon/Operational"),
    );
    open(&mut out, "Computer", &[]);
    leaf(&mut out, Content::Text("host.example.test"));
    out.push(0x04);
    open(&mut out, "EventData", &[]);
    open(&mut out, "Data", &[("Name", Content::Text("Image"))]);
    leaf(&mut out, Content::Place(3));
    open(&mut out, "Data", &[]);
    leaf(&mut out, Content::Place(4));
    out.push(0x04);
    out.push(0x04);
    out.push(0x00);
    out
}

/// What stands in an element or attribute.
enum Content<'a> {
    Text(&'a str),
    Place(u16),
}

impl Content<'_> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Content::Text(text) => {
                out.extend_from_slice(&[0x05, 0x01]);
                let units = u16::try_from(text.encode_utf16().count()).unwrap();
                out.extend_from_slice(&units.to_le_bytes());
                out.extend(utf16(text));
            }
            Content::Place(number) => {
                out.push(0x0d);
                out.extend_from_slice(&number.to_le_bytes());
                out.push(0);
            }
        }
    }
}

fn put_name(out: &mut Vec<u8>, start: usize, name: &str) {
    let at = u32::try_from(start + out.len() + 4).unwrap();
    out.extend_from_slice(&at.to_le_bytes());
    out.extend_from_slice(&[0; 6]);
    let units = u16::try_from(name.encode_utf16().count()).unwrap();
    out.extend_from_slice(&units.to_le_bytes());
    out.extend(utf16(name));
    out.extend_from_slice(&[0, 0]);
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}
