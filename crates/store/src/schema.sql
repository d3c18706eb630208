-- The node's records, version 5. Addresses by which one is looked for are 16 bytes
-- (src/column.rs), all others text; times are seconds since 1970; words are those of
-- src/record.rs. SQLite keeps and reads the text of each statement, whenever the records are
-- opened: what is to be said of a column stands before its table.

-- `me` and `known` are the cluster as this node last knew it, a JSON document (model::Cluster),
-- and who it is there.
CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    node_id TEXT NOT NULL,
    boot TEXT,
    cookie INTEGER,
    me TEXT,
    known TEXT
) STRICT;

-- `names`: whether its endpoints find each other by name. `subnets`: prefix, gateway and, where
-- not all of the prefix is given out, what is, with commas between them. `last`: the addresses
-- given out last; the next ones are looked for behind them.
CREATE TABLE network (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    bridge TEXT NOT NULL UNIQUE,
    mtu TEXT NOT NULL,
    reach TEXT NOT NULL,
    life TEXT NOT NULL,
    kind TEXT NOT NULL DEFAULT 'bridge',
    names TEXT NOT NULL DEFAULT 'off',
    subnets TEXT NOT NULL DEFAULT '',
    last TEXT
) STRICT;

-- `container`, `list`: where a container runtime attached the target, its id, and that of its
-- configuration list. `sends`, `receives`: bits a second, seen from the container; as fast as the
-- machine without. `aliases` (its other names), `addresses`, `publish` (its ports): each with
-- blanks between them, nothing without.
CREATE TABLE endpoint (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    network INTEGER NOT NULL REFERENCES network,
    name TEXT NOT NULL,
    target TEXT NOT NULL,
    boot TEXT,
    cookie INTEGER,
    ifname TEXT NOT NULL,
    port TEXT NOT NULL,
    mac TEXT NOT NULL,
    rank INTEGER NOT NULL,
    life TEXT NOT NULL,
    origin TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    container TEXT,
    list TEXT,
    sends INTEGER,
    receives INTEGER,
    aliases TEXT,
    addresses TEXT,
    publish TEXT
) STRICT;
CREATE UNIQUE INDEX endpoint_name ON endpoint (network, name);
CREATE UNIQUE INDEX endpoint_mac ON endpoint (network, mac);
CREATE UNIQUE INDEX endpoint_netns ON endpoint (cookie, boot, network);
CREATE UNIQUE INDEX endpoint_container ON endpoint (container, ifname, network)
    WHERE container IS NOT NULL;
CREATE INDEX endpoint_target ON endpoint (target);
CREATE INDEX endpoint_unfinished ON endpoint (id) WHERE life <> 'attached';

-- The addresses that are not free: an endpoint's, or resting since its endpoint went.
CREATE TABLE address (
    network INTEGER NOT NULL,
    address BLOB NOT NULL,
    endpoint INTEGER,
    released_at INTEGER,
    PRIMARY KEY (network, address),
    CHECK ((endpoint IS NULL) <> (released_at IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX address_resting ON address (released_at) WHERE released_at IS NOT NULL;

-- The ports that are not free: the first of those published at an address of the node tells who
-- has them.
CREATE TABLE publish (
    proto TEXT NOT NULL,
    bind TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    container_first INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    PRIMARY KEY (proto, bind, first)
) STRICT, WITHOUT ROWID;
