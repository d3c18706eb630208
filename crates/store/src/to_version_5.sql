-- Makes records of version 4 those of version 5: what is asked together stands together. Fewer
-- tables and indexes, which each process that opens the records reads, and each attach writes.
-- An address of 16 bytes becomes eight groups of four digits, IPv4 mapped into IPv6.

ALTER TABLE meta ADD COLUMN me TEXT;
ALTER TABLE meta ADD COLUMN known TEXT;
UPDATE meta SET (me, known) = (SELECT me, known FROM cluster);
DROP TABLE cluster;

ALTER TABLE network ADD COLUMN subnets TEXT NOT NULL DEFAULT '';
ALTER TABLE network ADD COLUMN last TEXT;
UPDATE network SET (subnets, last) = (
    SELECT coalesce(group_concat(
        prefix || ' '
            || substr(hex(gateway), 1, 4) || ':' || substr(hex(gateway), 5, 4) || ':'
            || substr(hex(gateway), 9, 4) || ':' || substr(hex(gateway), 13, 4) || ':'
            || substr(hex(gateway), 17, 4) || ':' || substr(hex(gateway), 21, 4) || ':'
            || substr(hex(gateway), 25, 4) || ':' || substr(hex(gateway), 29, 4)
            || coalesce(' ' || range, ''),
        ',' ORDER BY family), ''),
    group_concat(
        iif(last IS NULL, NULL, substr(hex(last), 1, 4) || ':' || substr(hex(last), 5, 4) || ':'
        || substr(hex(last), 9, 4) || ':' || substr(hex(last), 13, 4) || ':'
        || substr(hex(last), 17, 4) || ':' || substr(hex(last), 21, 4) || ':'
        || substr(hex(last), 25, 4) || ':' || substr(hex(last), 29, 4)),
        ' ' ORDER BY family)
    FROM subnet WHERE network = network.id);
DROP TABLE subnet;

ALTER TABLE endpoint ADD COLUMN addresses TEXT;
ALTER TABLE endpoint ADD COLUMN publish TEXT;
UPDATE endpoint SET addresses = (
    SELECT group_concat(
        substr(hex(address), 1, 4) || ':' || substr(hex(address), 5, 4) || ':'
        || substr(hex(address), 9, 4) || ':' || substr(hex(address), 13, 4) || ':'
        || substr(hex(address), 17, 4) || ':' || substr(hex(address), 21, 4) || ':'
        || substr(hex(address), 25, 4) || ':' || substr(hex(address), 29, 4),
        ' ' ORDER BY address)
    FROM address WHERE endpoint = endpoint.id);
UPDATE endpoint SET publish = (
    SELECT group_concat(
        CASE
            WHEN bind = '*' THEN ''
            WHEN instr(bind, ':') THEN '[' || bind || ']:'
            ELSE bind || ':'
        END
            || first || '-' || last || ':'
            || container_first || '-' || (container_first + last - first) || '/' || proto,
        ' ' ORDER BY position)
    FROM publish WHERE endpoint = endpoint.id);
DROP INDEX endpoint_ifname;

DROP INDEX address_endpoint;
DROP INDEX address_resting;
ALTER TABLE address RENAME TO address_4;
CREATE TABLE address (
    network INTEGER NOT NULL,
    address BLOB NOT NULL,
    endpoint INTEGER,
    released_at INTEGER,
    PRIMARY KEY (network, address),
    CHECK ((endpoint IS NULL) <> (released_at IS NULL))
) STRICT, WITHOUT ROWID;
INSERT INTO address SELECT network, address, endpoint, released_at FROM address_4;
DROP TABLE address_4;
CREATE INDEX address_resting ON address (released_at) WHERE released_at IS NOT NULL;

ALTER TABLE publish RENAME TO publish_4;
CREATE TABLE publish (
    proto TEXT NOT NULL,
    bind TEXT NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    container_first INTEGER NOT NULL,
    endpoint INTEGER NOT NULL,
    PRIMARY KEY (proto, bind, first)
) STRICT, WITHOUT ROWID;
INSERT INTO publish
    SELECT proto, bind, first, last, container_first, endpoint FROM publish_4;
DROP TABLE publish_4;

PRAGMA user_version = 5
