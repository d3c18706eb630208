-- The node's records, version 4. Addresses are 16 bytes (src/column.rs); times are seconds
-- since 1970; words are those of src/record.rs.

CREATE TABLE meta (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    node_id TEXT NOT NULL,
    boot TEXT,
    cookie INTEGER
) STRICT;

CREATE TABLE network (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    bridge TEXT NOT NULL UNIQUE,
    mtu TEXT NOT NULL,
    reach TEXT NOT NULL,
    life TEXT NOT NULL,
    kind TEXT NOT NULL DEFAULT 'bridge',
    -- Whether its endpoints find each other by name.
    names TEXT NOT NULL DEFAULT 'off'
) STRICT;

CREATE TABLE subnet (
    network INTEGER NOT NULL REFERENCES network ON DELETE CASCADE,
    family INTEGER NOT NULL,
    prefix TEXT NOT NULL,
    gateway BLOB NOT NULL,
    -- What is given out; all of the prefix without.
    range TEXT,
    -- The address given out last: the next one is looked for behind it.
    last BLOB,
    PRIMARY KEY (network, family)
) STRICT, WITHOUT ROWID;

-- The cluster as this node last knew it, a JSON document (model::Cluster), and who it is there.
CREATE TABLE cluster (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    me TEXT NOT NULL,
    known TEXT NOT NULL
) STRICT;

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
    -- Where a container runtime attached the target: its id, and that of its configuration list.
    container TEXT,
    list TEXT,
    -- Bits a second, seen from the container; as fast as the machine without.
    sends INTEGER,
    receives INTEGER,
    -- Its other names, blanks between them; nothing without.
    aliases TEXT
) STRICT;
CREATE UNIQUE INDEX endpoint_name ON endpoint (network, name);
CREATE UNIQUE INDEX endpoint_mac ON endpoint (network, mac);
CREATE UNIQUE INDEX endpoint_ifname ON endpoint (cookie, boot, ifname);
CREATE UNIQUE INDEX endpoint_netns ON endpoint (cookie, boot, network);
CREATE UNIQUE INDEX endpoint_container ON endpoint (container, ifname, network)
    WHERE container IS NOT NULL;
CREATE INDEX endpoint_target ON endpoint (target);
CREATE INDEX endpoint_unfinished ON endpoint (id) WHERE life <> 'attached';

-- The addresses that are not free: an endpoint's, or resting since its endpoint went.
CREATE TABLE address (
    network INTEGER NOT NULL REFERENCES network ON DELETE CASCADE,
    address BLOB NOT NULL,
    endpoint INTEGER REFERENCES endpoint,
    released_at INTEGER,
    PRIMARY KEY (network, address),
    CHECK ((endpoint IS NULL) <> (released_at IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX address_endpoint ON address (endpoint, address) WHERE endpoint IS NOT NULL;
CREATE INDEX address_resting ON address (released_at) WHERE released_at IS NOT NULL;

CREATE TABLE publish (
    endpoint INTEGER NOT NULL REFERENCES endpoint ON DELETE CASCADE,
    position INTEGER NOT NULL,
    proto TEXT NOT NULL,
    bind TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    container_first INTEGER NOT NULL,
    PRIMARY KEY (endpoint, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX publish_port ON publish (proto, bind, first, last);
