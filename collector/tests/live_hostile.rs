//! What is recorded may mean us harm: it is recorded, cut where it must be, and nothing breaks. They need
//! root; see `live`.

#[path = "live/journal.rs"]
mod journal;
mod live;

use journal::{collector, events};
use live::live;
use serde_json::Value;
use std::time::{Duration, Instant};

/// The longest that a recording of these may take: nothing may hang.
const TIME_MAX: Duration = Duration::from_secs(120);

fn record(script: &str) -> (tempfile::TempDir, Vec<Value>) {
    let dir = tempfile::tempdir().expect("a directory");
    let out = dir.path().join("journal");
    let began = Instant::now();
    let output = collector()
        .args(["record", "-o"])
        .arg(&out)
        .args(["--linger", "2s", "--", "/bin/sh", "-c", script])
        .current_dir(dir.path())
        .output()
        .expect("the collector runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    assert!(began.elapsed() < TIME_MAX);
    let events = events(&out);
    (dir, events)
}

fn starts(events: &[Value]) -> impl Iterator<Item = &Value> {
    events
        .iter()
        .filter(|event| event["kind"] == "process.start")
}

#[test]
fn arguments_of_a_megabyte_are_cut_and_say_so() {
    live("megabyte", || {
        let (_dir, events) = record(
            "set -- $(yes 12345678 | head -n 100000); /bin/true saigen-many \"$@\"; /bin/true saigen-after",
        );
        let many = starts(&events)
            .find(|start| start["args"][1] == "saigen-many")
            .expect("the start");
        let kept: usize = many["args"]
            .as_array()
            .expect("arguments")
            .iter()
            .map(|arg| arg.as_str().map_or(0, str::len) + 1)
            .sum();
        assert!((100_000..=132_000).contains(&kept), "{kept} bytes kept");
        assert_eq!(many["had"]["args"], "truncated");
        assert!(starts(&events).any(|start| start["args"][1] == "saigen-after"));
    });
}

#[test]
fn names_of_any_bytes_are_kept_as_they_were() {
    live("bytes", || {
        let (_dir, events) = record(
            "bad=$(printf 'bad\\377\\nname'); cp /bin/true \"$bad\"; \"./$bad\" \"$(printf 'one\\ntwo\\033[31m')\"
             printf 'x) R 1 (y' >/proc/$$/comm; sh -c '/bin/true saigen-renamed'",
        );
        let bad = starts(&events)
            .find(|start| start["args"][1] == "one\ntwo\u{1b}[31m")
            .expect("the start");
        let hex = bad["image_hex"].as_str().expect("the exact bytes");
        assert!(hex.ends_with("626164ff0a6e616d65"), "{hex}");
        assert!(starts(&events).any(|start| start["args"][1] == "saigen-renamed"));
        assert!(events.iter().any(|event| {
            event["kind"] == "file.created"
                && event["path_hex"]
                    .as_str()
                    .is_some_and(|hex| hex.ends_with("626164ff0a6e616d65"))
        }));
    });
}

#[test]
fn the_longest_names_are_followed_or_left_out_and_nothing_breaks() {
    live("long names", || {
        let (_dir, events) = record(
            "part=$(printf '%0240d' 7); n=0
             while [ $n -lt 20 ]; do mkdir $part && cd $part || break; n=$((n+1)); echo x >inside; done
             /bin/true saigen-deep; cd /; /bin/true saigen-up",
        );
        assert!(starts(&events).any(|start| start["args"][1] == "saigen-deep"));
        let made = events
            .iter()
            .filter(|event| event["kind"] == "file.created")
            .count();
        assert!(made >= 30, "{made} of 40 things were told of");
    });
}

#[test]
fn a_pid_that_comes_again_is_another_process() {
    live("pid again", || {
        let (_dir, events) = record(
            "first=$(sh -c 'echo $$; true saigen'); n=0
             while [ $n -lt 200 ]; do
               echo $((first - 1)) >/proc/sys/kernel/ns_last_pid
               again=$(/bin/sh -c 'echo $$; true saigen-again')
               [ $again = $first ] && break
               n=$((n+1))
             done",
        );
        let mut by_pid = std::collections::BTreeMap::<u64, std::collections::BTreeSet<u64>>::new();
        for start in starts(&events) {
            let actor = &start["actor"];
            by_pid
                .entry(actor["pid"].as_u64().expect("a pid"))
                .or_default()
                .insert(actor["start_us"].as_u64().expect("a start"));
        }
        assert!(
            by_pid.values().any(|runs| runs.len() > 1),
            "one pid, two processes: {by_pid:?}"
        );
    });
}

#[test]
fn mounts_that_come_and_go_are_followed_to_the_end() {
    live("mounts come and go", || {
        let (_dir, events) = record(
            "mkdir m; unshare -m sh -c 'n=0; while [ $n -lt 40 ]; do mount -t tmpfs t m; echo x >m/f; umount m; n=$((n+1)); done'
             /bin/true saigen-after",
        );
        let mounted = events
            .iter()
            .filter(|event| event["kind"] == "kernel.mounted" && event["change"] == "created")
            .count();
        assert!(mounted >= 40, "{mounted} of 40");
        assert!(starts(&events).any(|start| start["args"][1] == "saigen-after"));
    });
}

#[test]
fn a_fork_bomb_in_its_cage_is_counted_and_outlived() {
    live("fork bomb", || {
        let (_dir, events) = record(
            "cage=/sys/fs/cgroup; [ -d $cage/pids ] && cage=$cage/pids
             mkdir $cage/saigen-cage; echo 60 >$cage/saigen-cage/pids.max
             timeout -s KILL 3 sh -c 'echo $$ >'$cage'/saigen-cage/cgroup.procs
               exec unshare -pf --kill-child sh -c \"bomb() { bomb | bomb & }; bomb; sleep 1\"' 2>/dev/null
             sleep 0.5; rmdir $cage/saigen-cage; /bin/true saigen-alive",
        );
        let forks = events
            .iter()
            .filter(|event| event["kind"] == "process.fork")
            .count();
        assert!(forks >= 60, "{forks} forks");
        assert!(starts(&events).any(|start| start["args"][1] == "saigen-alive"));
    });
}
