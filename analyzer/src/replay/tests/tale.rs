//! Small recordings for tests, told event by event.

use saigen_schemas::event::{
    Args, BootId, Event, Fields, FileCreated, FileDeleted, FileRead, FileRenamed, FileWritten,
    Kind, Marks, Near, ProcessExit, ProcessFork, ProcessKey, ProcessStart, Source, Time,
};

use crate::reference::{EventRef, SourceId};

/// A recording that is told event by event, a millisecond apart.
#[derive(Default)]
pub(crate) struct Tale {
    pub(crate) events: Vec<(EventRef, Event<'static>)>,
    host: &'static str,
    source: u32,
    now_us: i64,
}

/// When a tale begins, wall clock.
pub(crate) const WALL_US: i64 = 1_700_000_000_000_000;

/// The process of a pid; it started as many seconds after boot.
pub(crate) fn key(pid: u32) -> ProcessKey {
    ProcessKey::new(pid, u64::from(pid) * 1_000_000)
}

impl Tale {
    pub(crate) fn on(host: &'static str, source: u32) -> Self {
        Self {
            host,
            source,
            ..Self::default()
        }
    }

    pub(crate) fn wait(&mut self, us: i64) -> &mut Self {
        self.now_us += us;
        self
    }

    /// Adds an event and gives its reference.
    pub(crate) fn tell(&mut self, actor: Option<ProcessKey>, kind: Kind<'static>) -> EventRef {
        let seq = self.events.len() as u64;
        self.now_us += 1000;
        let event = Event {
            seq,
            time: Time {
                wall_us: WALL_US + self.now_us,
                boot_us: u64::try_from(self.now_us + 60_000_000).ok(),
            },
            recorded_us: None,
            host: self.host.into(),
            boot: BootId([1; 16]),
            source: Source::Joined,
            actor,
            marks: Marks::default(),
            extra: Fields::default(),
            kind,
        };
        let reference = EventRef::frame(SourceId(self.source), 1, u32::try_from(seq).unwrap());
        self.events.push((reference, event));
        reference
    }

    pub(crate) fn fork(&mut self, parent: u32, child: u32) -> EventRef {
        let kind = ProcessFork {
            parent: Some(key(parent)),
        };
        self.tell(Some(key(child)), Kind::ProcessFork(kind))
    }

    pub(crate) fn start(
        &mut self,
        parent: u32,
        child: u32,
        image: &'static str,
        args: &'static str,
    ) -> EventRef {
        let kind = ProcessStart {
            parent: Some(key(parent)),
            image: Some(image.into()),
            args: Some(Args(args.as_bytes())),
            cwd: Some("/tmp".into()),
            ..ProcessStart::default()
        };
        self.tell(Some(key(child)), Kind::ProcessStart(kind))
    }

    pub(crate) fn wrote(&mut self, pid: u32, path: &'static str, inode: Option<u64>) -> EventRef {
        let kind = FileWritten {
            path: Some(path.into()),
            inode: inode.map(Near),
            dev: inode.map(|_| 8),
            ..FileWritten::default()
        };
        self.tell(Some(key(pid)), Kind::FileWritten(kind))
    }

    pub(crate) fn created(&mut self, pid: u32, path: &'static str, inode: Option<u64>) -> EventRef {
        let kind = FileCreated {
            path: Some(path.into()),
            inode: inode.map(Near),
            dev: inode.map(|_| 8),
            ..FileCreated::default()
        };
        self.tell(Some(key(pid)), Kind::FileCreated(kind))
    }

    pub(crate) fn deleted(&mut self, pid: u32, path: &'static str, inode: Option<u64>) -> EventRef {
        let kind = FileDeleted {
            path: Some(path.into()),
            inode: inode.map(Near),
            dev: inode.map(|_| 8),
            ..FileDeleted::default()
        };
        self.tell(Some(key(pid)), Kind::FileDeleted(kind))
    }

    pub(crate) fn renamed(&mut self, pid: u32, path: &'static str, to: &'static str) -> EventRef {
        let kind = FileRenamed {
            path: Some(path.into()),
            to: Some(to.into()),
            ..FileRenamed::default()
        };
        self.tell(Some(key(pid)), Kind::FileRenamed(kind))
    }

    pub(crate) fn read(&mut self, pid: u32, path: &'static str) -> EventRef {
        let kind = FileRead {
            path: Some(path.into()),
            ..FileRead::default()
        };
        self.tell(Some(key(pid)), Kind::FileRead(kind))
    }

    pub(crate) fn exit(&mut self, pid: u32) -> EventRef {
        let kind = ProcessExit {
            code: Some(0),
            ..ProcessExit::default()
        };
        self.tell(Some(key(pid)), Kind::ProcessExit(kind))
    }
}
