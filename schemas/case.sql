-- case.sqlite: what an investigation found, as tables.
--
-- It holds findings and incidents, and the records that they cite; not every event of the
-- evidence. The same report gives the same file, byte for byte.
--
-- Times are text in UTC, RFC 3339 with six digits, so that they sort as text.
-- Text from evidence stands as it was, bytes that are not UTF-8 as ⟨0xFF⟩: print it with care.
-- Nodes (n1, f1, c1) name processes, files and flows; they are unique within an incident.
-- Lists that are read as one (tactics, techniques, rules, nodes) stand in one column, with a space between.
-- A number beyond 9223372036854775807 stands as that.

-- One row: how the report came about.
CREATE TABLE report (
  schema        TEXT NOT NULL,  -- saigen-report/1
  tool          TEXT NOT NULL,
  version       TEXT NOT NULL,
  command       TEXT NOT NULL,  -- makes the same report again
  rules_sha256  TEXT NOT NULL,
  rules_loaded  INTEGER NOT NULL,
  custody_head  TEXT            -- of the custody log's first part
) STRICT;

-- The inputs, and how far each can be trusted.
CREATE TABLE evidence (
  id              TEXT PRIMARY KEY,  -- e1
  path            TEXT NOT NULL,     -- relative to the input as it was given
  sha256          TEXT NOT NULL,
  bytes           INTEGER NOT NULL,
  format          TEXT NOT NULL,     -- journal, evtx, audit, sysmon_linux, syslog, json
  recorder        TEXT,
  events          INTEGER NOT NULL,
  lost            INTEGER NOT NULL,
  damaged         INTEGER NOT NULL,
  frames          INTEGER NOT NULL,
  first           TEXT,
  last            TEXT,
  verdict         TEXT NOT NULL,     -- intact, open_end, crash_gap, incomplete, altered, unsealed, unverified, whole, damaged
  cause           TEXT,              -- checksum, seal, order, missing, key, clock
  explanation     TEXT NOT NULL,
  signed_to       INTEGER,           -- the last position that a signature covers
  key_kind        TEXT NOT NULL,     -- none, auditor, public
  key_fingerprint TEXT
) STRICT;

-- The files of an input that is a folder.
CREATE TABLE evidence_files (
  evidence TEXT NOT NULL REFERENCES evidence (id),
  path     TEXT NOT NULL,
  sha256   TEXT NOT NULL,
  bytes    INTEGER NOT NULL
) STRICT;

-- What was noticed about an input: clock, gap, loss, damage, note.
CREATE TABLE findings (
  id        INTEGER PRIMARY KEY,
  evidence  TEXT NOT NULL REFERENCES evidence (id),
  kind      TEXT NOT NULL,
  text      TEXT NOT NULL,
  from_time TEXT,
  to_time   TEXT
) STRICT;

-- The hosts that speak in each input.
CREATE TABLE hosts (
  host     TEXT NOT NULL,
  evidence TEXT NOT NULL REFERENCES evidence (id),
  PRIMARY KEY (host, evidence)
) STRICT;

-- The incidents, the gravest first.
CREATE TABLE incidents (
  id         TEXT PRIMARY KEY,  -- I1
  rank       INTEGER NOT NULL,
  title      TEXT NOT NULL,
  severity   TEXT NOT NULL,     -- critical, high, medium, low
  score      REAL NOT NULL,
  first      TEXT NOT NULL,
  last       TEXT NOT NULL,
  hosts      TEXT NOT NULL,
  accounts   TEXT NOT NULL,
  techniques TEXT NOT NULL
) STRICT;

-- The parts of each score.
CREATE TABLE score_parts (
  incident TEXT NOT NULL REFERENCES incidents (id),
  name     TEXT NOT NULL,
  value    REAL NOT NULL,
  why      TEXT NOT NULL
) STRICT;

-- The story, sentence by sentence, in the order in which it is told. Section 'Entry' says how
-- it began; 'Scope' (without an incident) what was looked at.
CREATE TABLE sentences (
  id       INTEGER PRIMARY KEY,
  incident TEXT REFERENCES incidents (id),
  section  TEXT NOT NULL,
  text     TEXT NOT NULL,
  grade    TEXT NOT NULL        -- proven, inferred, gap
) STRICT;

-- What happened, step by step, in order of time.
CREATE TABLE steps (
  id         INTEGER PRIMARY KEY,
  incident   TEXT NOT NULL REFERENCES incidents (id),
  time       TEXT NOT NULL,
  host       TEXT NOT NULL,
  tactics    TEXT NOT NULL,
  techniques TEXT NOT NULL,
  actor      TEXT NOT NULL,     -- a node
  verb       TEXT NOT NULL,
  object     TEXT,              -- a node
  grade      TEXT NOT NULL,
  text       TEXT NOT NULL,
  rules      TEXT NOT NULL
) STRICT;

CREATE TABLE processes (
  id               INTEGER PRIMARY KEY,
  incident         TEXT NOT NULL REFERENCES incidents (id),
  node             TEXT NOT NULL,
  host             TEXT NOT NULL,
  pid              INTEGER NOT NULL,
  guid             TEXT,
  start            TEXT,        -- NULL: it ran before recording began
  end              TEXT,
  exit_code        INTEGER,
  image            TEXT,
  sha256           TEXT,
  command_line     TEXT,
  command_line_had TEXT,        -- raced, reconstructed, truncated; NULL: copied by the kernel
  cwd              TEXT,
  parent           TEXT,        -- a node
  user             TEXT,
  role             TEXT NOT NULL,  -- malicious, compromised, carrier
  why              TEXT NOT NULL
) STRICT;

-- Files and registry keys.
CREATE TABLE files (
  id          INTEGER PRIMARY KEY,
  incident    TEXT NOT NULL REFERENCES incidents (id),
  node        TEXT NOT NULL,
  kind        TEXT NOT NULL,    -- file, registry
  host        TEXT NOT NULL,
  path        TEXT NOT NULL,
  sha256      TEXT,
  bytes       INTEGER,
  why         TEXT NOT NULL
) STRICT;

-- Other paths of the same file: earlier names and links.
CREATE TABLE file_paths (
  file INTEGER NOT NULL REFERENCES files (id),
  path TEXT NOT NULL
) STRICT;

-- What was done to a file or key.
CREATE TABLE acts (
  id      INTEGER PRIMARY KEY,
  file    INTEGER NOT NULL REFERENCES files (id),
  time    TEXT NOT NULL,
  verb    TEXT NOT NULL,
  process TEXT,                 -- a node
  count   INTEGER NOT NULL
) STRICT;

-- Connections, and places that were listened at.
CREATE TABLE flows (
  id          INTEGER PRIMARY KEY,
  incident    TEXT NOT NULL REFERENCES incidents (id),
  node        TEXT NOT NULL,
  host        TEXT NOT NULL,
  direction   TEXT NOT NULL,    -- in, out, local, listening
  protocol    TEXT NOT NULL,
  local       TEXT,
  remote      TEXT,
  remote_name TEXT,
  sent        INTEGER,          -- bytes
  received    INTEGER,          -- bytes
  first       TEXT NOT NULL,
  last        TEXT NOT NULL,
  count       INTEGER NOT NULL,
  process     TEXT,             -- a node
  why         TEXT NOT NULL
) STRICT;

-- What was left behind to come back.
CREATE TABLE persistence (
  id         INTEGER PRIMARY KEY,
  incident   TEXT NOT NULL REFERENCES incidents (id),
  node       TEXT,
  host       TEXT NOT NULL,
  mechanism  TEXT NOT NULL,     -- cron, systemd, authorized_key, …
  place      TEXT NOT NULL,
  runs       TEXT,
  time       TEXT NOT NULL,
  process    TEXT,              -- the node that put it there
  techniques TEXT NOT NULL,
  started    TEXT NOT NULL,     -- nodes that it has started
  grade      TEXT NOT NULL,
  why        TEXT NOT NULL
) STRICT;

-- The edges of the attack graph, each with its ground.
CREATE TABLE edges (
  id        INTEGER PRIMARY KEY,
  incident  TEXT NOT NULL REFERENCES incidents (id),
  from_node TEXT NOT NULL,
  to_node   TEXT NOT NULL,
  verb      TEXT NOT NULL,
  ground    TEXT NOT NULL,      -- recorded, same_session, same_flow, same_content, scheduled, inferred_by_time
  first     TEXT NOT NULL,
  last      TEXT NOT NULL,
  count     INTEGER NOT NULL,
  why       TEXT NOT NULL
) STRICT;

-- Why the parts of an incident are one incident.
CREATE TABLE joins (
  id       INTEGER PRIMARY KEY,
  incident TEXT NOT NULL REFERENCES incidents (id),
  ground   TEXT NOT NULL,
  shared   TEXT NOT NULL,
  nodes    TEXT NOT NULL,
  text     TEXT NOT NULL,
  grade    TEXT NOT NULL
) STRICT;

-- Holes in the evidence; without an incident where they belong to none.
CREATE TABLE gaps (
  id        INTEGER PRIMARY KEY,
  incident  TEXT REFERENCES incidents (id),
  host      TEXT,
  from_time TEXT,
  to_time   TEXT,
  lost      INTEGER,
  text      TEXT NOT NULL
) STRICT;

-- What the search left out; without an incident where it holds for the whole case.
CREATE TABLE pruned (
  id       INTEGER PRIMARY KEY,
  incident TEXT REFERENCES incidents (id),
  ground   TEXT NOT NULL,
  text     TEXT NOT NULL,
  count    INTEGER NOT NULL
) STRICT;

-- Every detection, in and out of incidents.
CREATE TABLE detections (
  id         INTEGER PRIMARY KEY,
  rule       TEXT NOT NULL,
  title      TEXT NOT NULL,
  level      TEXT NOT NULL,     -- critical, high, medium, low, informational
  time       TEXT NOT NULL,
  host       TEXT NOT NULL,
  process    TEXT,              -- a node of the incident
  incident   TEXT REFERENCES incidents (id),  -- NULL: below the threshold
  tactics    TEXT NOT NULL,
  techniques TEXT NOT NULL,
  events     INTEGER NOT NULL
) STRICT;

-- The fields that made a rule fire.
CREATE TABLE detection_fields (
  detection INTEGER NOT NULL REFERENCES detections (id),
  field     TEXT NOT NULL,
  value     TEXT NOT NULL
) STRICT;

-- Detections that an allowlist took away.
CREATE TABLE suppressed (
  id    INTEGER PRIMARY KEY,
  rule  TEXT NOT NULL,
  title TEXT NOT NULL,
  entry TEXT NOT NULL,
  count INTEGER NOT NULL
) STRICT;

-- Rules that could not speak: refused when loaded, or never applied to this evidence.
CREATE TABLE silent_rules (
  rule   TEXT NOT NULL,
  title  TEXT,
  state  TEXT NOT NULL,         -- refused, never_applied
  reason TEXT NOT NULL
) STRICT;

-- The records that anything above cites.
CREATE TABLE records (
  ref     TEXT PRIMARY KEY,     -- e1:4711:3
  time    TEXT,
  host    TEXT NOT NULL,
  kind    TEXT NOT NULL,        -- process.start
  json    TEXT NOT NULL,        -- as `saigen show` prints it
  sha256  TEXT,
  verdict TEXT NOT NULL
) STRICT;

-- What cites what: a row of a table above, by its id, and a record.
CREATE TABLE citations (
  item_table TEXT NOT NULL,     -- steps, processes, acts, …
  item       INTEGER NOT NULL,
  place      INTEGER NOT NULL,  -- the order in which the item cites its records, from 0
  ref        TEXT NOT NULL,     -- a record that could not be read again stands only here
  PRIMARY KEY (item_table, item, place)
) STRICT;

CREATE INDEX citations_by_ref ON citations (ref);

-- Totals by name.
CREATE TABLE counts (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT;
