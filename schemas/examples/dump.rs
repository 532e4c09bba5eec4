//! dump
use saigen_schemas::journal::*;
use saigen_schemas::event::write_json;
fn main() {
    for path in std::env::args().skip(1) {
        let bytes = std::fs::read(path).expect("read");
        let mut rest = bytes.as_slice();
        let mut reader = PayloadReader::default();
        while !rest.is_empty() {
            let frame = FrameHeader::read(rest).expect("frame");
            rest = &rest[frame.len()..];
            let h = frame.header;
            eprintln!("frame {} {} events {} payload {} lost {}", h.position, h.kind.as_str(), h.events, h.payload_len, h.lost);
            if h.kind.holds_events() {
                for event in reader.read(frame.payload, h.raw_len, h.events, h.first_seq).expect("payload") {
                    let mut out = String::new();
                    write_json(&event.expect("event"), "", &mut out);
                    println!("{out}");
                }
            }
        }
    }
}
