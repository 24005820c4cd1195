-- Tokens that admit new nodes: keyed hashes, and what became of them.
CREATE TABLE enrollment_token (id TEXT NOT NULL PRIMARY KEY, doc TEXT NOT NULL) STRICT;
