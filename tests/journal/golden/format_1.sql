-- A store of format 1, as the program of that format wrote it. Never edited: a newer program must read it.
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA application_id = 1936484913;
PRAGMA user_version = 1;
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE runs(
  id INTEGER PRIMARY KEY,
  run_id TEXT UNIQUE,
  state INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  owner TEXT NOT NULL,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  last_inbox INTEGER NOT NULL,
  plan TEXT NOT NULL,
  status TEXT NOT NULL,
  note TEXT NOT NULL,
  forked_from TEXT NOT NULL,
  started_ns INTEGER NOT NULL,
  updated_ns INTEGER NOT NULL,
  tasks_done INTEGER NOT NULL,
  tasks_failed INTEGER NOT NULL,
  doubts INTEGER NOT NULL,
  waits INTEGER NOT NULL,
  tokens INTEGER NOT NULL,
  usd REAL NOT NULL
);
INSERT INTO runs VALUES(1,'run_a',0,1,'',2,4,42,1,'golden','running','a note','run_0',1000,2000,3,1,1,2,77,0.5);
INSERT INTO runs VALUES(2,'run_b',1,1,'',1,1,7,0,'golden','succeeded','a note','run_0',1000,2000,3,1,1,2,77,0.5);
CREATE TABLE records(
  key INTEGER PRIMARY KEY,
  type INTEGER NOT NULL,
  version INTEGER NOT NULL,
  body BLOB NOT NULL
);
INSERT INTO records VALUES(68719476738,9,1,X'736e617073686f7462d80134');
INSERT INTO records VALUES(68719476739,65535,1,X'a6e167df');
INSERT INTO records VALUES(68719476740,1,1,X'666f7572ecdade41');
INSERT INTO records VALUES(137438953473,1,1,X'656e6490d8c01c');
CREATE TABLE contents(
  id INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  bytes BLOB NOT NULL
);
INSERT INTO contents VALUES(1,X'950f88b09cf1d5e2cdbc5660c77dce3962265c548797950095629a0ea2daea46',X'0128b52ffd60e8024d0000107a7a0100e32b8005');
INSERT INTO contents VALUES(2,X'd7439bee24773bcbfa2d0a97947ee36227b10d1022b1a55847e928965bb6bfde',X'00726177');
CREATE TABLE content_uses(
  run INTEGER NOT NULL,
  content INTEGER NOT NULL,
  PRIMARY KEY(run, content)
) WITHOUT ROWID;
INSERT INTO content_uses VALUES(1,1);
INSERT INTO content_uses VALUES(1,2);
CREATE TABLE inbox(
  run INTEGER NOT NULL,
  id INTEGER NOT NULL,
  kind TEXT NOT NULL,
  body TEXT NOT NULL,
  sent_ns INTEGER NOT NULL,
  PRIMARY KEY(run, id)
) WITHOUT ROWID;
INSERT INTO inbox VALUES(1,1,'signal','{"name":"go"}',5);
CREATE INDEX runs_by_start ON runs(started_ns);
CREATE INDEX runs_gone ON runs(id) WHERE state = 2;
CREATE INDEX content_uses_by_content ON content_uses(content);
COMMIT;
