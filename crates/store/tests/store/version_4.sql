-- Records as version 4 of the schema kept them, with something of everything: what an upgrade
-- must carry over.

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

INSERT INTO meta VALUES (1, '000000000000feed', '6f1c2b1e-7a53-4a0e-9d5c-0123456789ab', -1);
INSERT INTO cluster VALUES (1, 'alpha', '{"nodes":{},"networks":{}}');

INSERT INTO network VALUES (3, 'web', 'br-web', 'auto', 'outside', 'ready', 'bridge', 'off');
INSERT INTO subnet VALUES (3, 4, '10.88.0.0/16', x'00000000000000000000FFFF0A580001',
    '10.88.7.0-10.88.7.9', x'00000000000000000000FFFF0A580704');
INSERT INTO subnet VALUES (3, 6, 'fd00:88::/64', x'FD000088000000000000000000000001',
    NULL, NULL);
INSERT INTO network VALUES (4, 'db', 'br-db', '1400', 'internal', 'ready', 'bridge', 'off');
INSERT INTO subnet VALUES (4, 4, '10.89.0.0/16', x'00000000000000000000FFFF0A590001',
    NULL, NULL);
INSERT INTO network VALUES (5, 'gone', 'br-gone', 'auto', 'outside', 'ready', 'bridge', 'off');
DELETE FROM network WHERE id = 5;

INSERT INTO endpoint VALUES (7, 3, 'c7', '/proc/7/ns/net', '6f1c2b1e-7a53-4a0e-9d5c-0123456789ab',
    -2, 'eth0', 'pt7', '02:70:0a:58:07:03', 0, 'attached', 'given', 1800000000,
    'c7c7', 'podman', 32000000000, 8000, 'shop db-1');
INSERT INTO address VALUES (3, x'00000000000000000000FFFF0A580703', 7, NULL);
INSERT INTO address VALUES (3, x'FD000088000000000000000000000007', 7, NULL);
INSERT INTO publish VALUES (7, 0, 'tcp', '*', 8080, 8080, 80);
INSERT INTO publish VALUES (7, 1, 'udp', '127.0.0.1', 53, 53, 5353);
INSERT INTO publish VALUES (7, 2, 'sctp', '0.0.0.0', 9000, 9010, 7000);
INSERT INTO publish VALUES (7, 3, 'tcp', '::', 443, 443, 443);
INSERT INTO publish VALUES (7, 4, 'tcp', 'fd00::1', 444, 444, 444);
INSERT INTO endpoint VALUES (8, 4, 'c8', 'c8', NULL, NULL, 'eth0', 'pt8', '02:70:0a:59:00:02', 0,
    'attaching', 'made', 1800000001, NULL, NULL, NULL, NULL, NULL);
INSERT INTO address VALUES (4, x'00000000000000000000FFFF0A590002', 8, NULL);
INSERT INTO address VALUES (3, x'00000000000000000000FFFF0A580704', NULL, 1800000000);
INSERT INTO endpoint VALUES (9, 4, 'gone', 'gone', NULL, NULL, 'eth0', 'pt9', '02:70:0a:59:00:03', 0,
    'attaching', 'made', 1800000001, NULL, NULL, NULL, NULL, NULL);
DELETE FROM endpoint WHERE id = 9;

PRAGMA application_id = 0x706f6e74;
PRAGMA user_version = 4;
