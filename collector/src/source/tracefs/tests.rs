//! Layouts as kernels write them, and as they never should.

#![expect(
    clippy::host_endian_bytes,
    reason = "the kernel's records are in the machine's own order"
)]

use super::*;

const EXEC: &str = "name: sched_process_exec\nID: 365\nformat:\n\
    \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
    \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
    \tfield:__data_loc char[] filename;\toffset:8;\tsize:4;\tsigned:0;\n\
    \tfield:pid_t pid;\toffset:12;\tsize:4;\tsigned:1;\n\
    \tfield:const void * skaddr;\toffset:16;\tsize:8;\tsigned:0;\n\
    \tfield:__u8 saddr[4];\toffset:24;\tsize:4;\tsigned:0;\n\n\
    print fmt: \"filename=%s\", __get_str(filename)\n";

#[test]
fn a_format_file_gives_number_and_fields() {
    let tracepoint = Tracepoint::parse(EXEC).unwrap();
    assert_eq!(tracepoint.id, 365);
    assert_eq!(
        tracepoint.field("filename"),
        Some(Field {
            offset: 8,
            size: 4,
            place: Place::DataLoc
        })
    );
    assert_eq!(
        tracepoint.field("saddr"),
        Some(Field {
            offset: 24,
            size: 4,
            place: Place::Here
        })
    );
    assert_eq!(tracepoint.field("skaddr").map(|field| field.size), Some(8));
    assert_eq!(tracepoint.field("absent"), None);
}

#[test]
fn a_text_is_found_where_its_place_says() {
    let tracepoint = Tracepoint::parse(EXEC).unwrap();
    let mut raw = vec![0_u8; 28];
    raw[8..12].copy_from_slice(&(5_u32 << 16 | 28).to_ne_bytes());
    raw[12..16].copy_from_slice(&77_u32.to_ne_bytes());
    raw.extend_from_slice(b"/a/b\0");
    assert_eq!(
        tracepoint.field("filename").unwrap().text(&raw),
        Some(&b"/a/b"[..])
    );
    assert_eq!(tracepoint.field("pid").unwrap().number(&raw), Some(77));
}

#[test]
fn a_place_outside_the_record_is_nothing() {
    let tracepoint = Tracepoint::parse(EXEC).unwrap();
    let mut raw = vec![0_u8; 28];
    raw[8..12].copy_from_slice(&(0xffff_u32 << 16 | 0xfff0).to_ne_bytes());
    assert_eq!(tracepoint.field("filename").unwrap().text(&raw), None);
    assert_eq!(tracepoint.field("pid").unwrap().number(&raw[..13]), None);
}

#[test]
fn a_format_that_is_not_one_is_nothing() {
    assert_eq!(Tracepoint::parse("ID: many\n"), None);
    assert_eq!(
        Tracepoint::parse("ID: 1\n\tfield:int x;\toffset:-1;\tsize:4;\n"),
        None
    );
    assert_eq!(Tracepoint::parse(""), None);
}
