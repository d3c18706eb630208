//! Files that are not as they should be: they are named, and left as they are.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;
use store::{Durability, NodeLock, OpenMode, StoreError};

use crate::fixture::{NOW, StateDir, add_endpoint, add_network};
use crate::processes::{run_child, run_child_in};

const MODES: [OpenMode; 3] = [OpenMode::ReadWrite, OpenMode::Alone, OpenMode::ReadOnly];

#[test]
fn only_root_can_read_the_records() {
    let dir = StateDir::new();
    let _lock = NodeLock::acquire(dir.path(), std::time::Duration::ZERO).unwrap();
    let mut records = dir.open();
    add_network(&mut records, "web");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.path()), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    let expected = ["lock", "records.db", "records.db-shm", "records.db-wal"];
    assert_eq!(names, expected);
}

#[test]
fn a_missing_file_reads_as_empty_and_stays_missing() {
    let dir = StateDir::new();
    let mut records = dir.try_open(OpenMode::ReadOnly).unwrap();
    assert_eq!(records.networks().unwrap(), []);
    assert_eq!(records.endpoints().unwrap(), []);
    let write = records.insert_network(&crate::fixture::network(1, "web"));
    assert!(
        matches!(write, Err(StoreError::ReadOnly { .. })),
        "{write:?}"
    );
    assert!(!dir.path().exists());
}

#[test]
fn a_file_of_no_bytes_is_a_fresh_one() {
    let dir = StateDir::new();
    fs::create_dir(dir.path()).unwrap();
    fs::write(dir.file(), b"").unwrap();
    let reader = dir.try_open(OpenMode::ReadOnly).unwrap();
    assert_eq!(reader.networks().unwrap(), []);
    add_network(&mut dir.open(), "web");
    let reader = dir.try_open(OpenMode::ReadOnly).unwrap();
    assert_eq!(reader.networks().unwrap().len(), 1);
}

#[test]
fn the_log_of_a_lost_file_does_not_come_back() {
    let dir = StateDir::new();
    add_network(&mut dir.open(), "web");
    fs::remove_file(dir.file()).unwrap();
    assert_eq!(dir.open().networks().unwrap(), []);
}

fn assert_corrupt_and_kept(dir: &StateDir) {
    let before = fs::read(dir.file()).unwrap();
    for mode in MODES {
        let error = dir
            .try_open(mode)
            .and_then(|records| records.networks().and_then(|_| records.endpoints()))
            .unwrap_err();
        let named = matches!(&error, StoreError::Corrupt { path, .. } if *path == dir.file());
        assert!(named, "{mode:?}: {error:?}");
        assert!(fs::read(dir.file()).unwrap() == before, "{mode:?}");
    }
}

#[test]
fn garbage_is_called_corrupt() {
    for garbage in [&b"not a database"[..], &[0xa5; 8192], &[0; 4096]] {
        let dir = StateDir::new();
        fs::create_dir(dir.path()).unwrap();
        fs::write(dir.file(), garbage).unwrap();
        assert_corrupt_and_kept(&dir);
    }
}

#[test]
fn a_truncated_file_is_called_corrupt() {
    for part in [2, 3, 4] {
        let dir = filled();
        let whole = fs::metadata(dir.file()).unwrap().len();
        let file = OpenOptions::new().write(true).open(dir.file()).unwrap();
        file.set_len(whole / part * (part - 1)).unwrap();
        assert_corrupt_and_kept(&dir);
    }
}

/// Records with some endpoints, all in the database and none in the log.
fn filled() -> StateDir {
    let dir = StateDir::new();
    let mut records = dir.open();
    let web = add_network(&mut records, "web").network.id;
    records
        .transaction(Durability::Process, |records| {
            for _ in 0..50 {
                add_endpoint(records, web, |_| {})?;
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
    records.checkpoint().unwrap();
    dir
}

#[test]
fn another_programs_database_is_called_corrupt() {
    let dir = StateDir::new();
    fs::create_dir(dir.path()).unwrap();
    let foreign = Connection::open(dir.file()).unwrap();
    foreign.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(foreign);
    assert_corrupt_and_kept(&dir);
}

#[test]
fn values_that_mean_nothing_are_called_corrupt() {
    for damage in [
        "UPDATE network SET name = '../x'",
        "UPDATE network SET reach = 'everywhere'",
        "UPDATE network SET mtu = '12'",
        "UPDATE network SET subnets = '10.88.0.1/16 10.88.0.1'",
        "UPDATE network SET subnets = '10.88.0.0/16 10.89.0.1'",
        "UPDATE network SET subnets = '10.88.0.0/16 10.88.0.1 10.89.0.1-10.89.0.9'",
        "UPDATE network SET subnets = '10.88.0.0/16'",
        "UPDATE network SET subnets = ''",
        "UPDATE endpoint SET target = 'a b' WHERE id = 7",
        "UPDATE endpoint SET mac = 'ff:ff:ff:ff:ff:ff' WHERE id = 7",
        "UPDATE endpoint SET rank = 70000 WHERE id = 7",
        "UPDATE endpoint SET life = 'zombie' WHERE id = 7",
        "UPDATE endpoint SET sends = -1 WHERE id = 7",
        "UPDATE endpoint SET aliases = 'a b_c' WHERE id = 7",
        "UPDATE network SET names = 'maybe'",
        "UPDATE endpoint SET boot = 'x' WHERE id = 7",
        "UPDATE endpoint SET addresses = '10.88.0' WHERE id = 7",
        "UPDATE endpoint SET publish = '0:80/tcp' WHERE id = 7",
        "UPDATE endpoint SET publish = 'lo:80:80/tcp' WHERE id = 7",
        "DELETE FROM meta",
    ] {
        let dir = filled();
        let damaged = Connection::open(dir.file()).unwrap();
        damaged.execute_batch(damage).expect(damage);
        drop(damaged);
        assert_corrupt_and_kept(&dir);
    }
}

#[test]
fn a_newer_file_is_kept_byte_for_byte() {
    let dir = filled();
    let newer = Connection::open(dir.file()).unwrap();
    newer.pragma_update(None, "user_version", 6).unwrap();
    drop(newer);
    let before = fs::read(dir.file()).unwrap();
    for mode in MODES {
        let error = dir.try_open(mode).unwrap_err();
        let told = matches!(
            &error,
            StoreError::Newer { path, found: 6, known: 5 } if *path == dir.file()
        );
        assert!(told, "{error:?}");
        assert!(fs::read(dir.file()).unwrap() == before);
    }
}

/// A tmpfs in the child's own mount namespace.
fn mount_tmpfs(dir: &Path, options: &str) {
    use rustix::mount::{MountFlags, mount};
    let options = std::ffi::CString::new(options).unwrap();
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", dir, "tmpfs", flags, options.as_c_str()).expect("root is needed to mount");
}

#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    let dir = StateDir::new();
    fs::create_dir(dir.path()).unwrap();
    run_child_in(
        &["unshare", "--mount"],
        "files::full_disk_child",
        dir.path(),
    );
}

#[test]
#[ignore = "runs as a child of another test"]
fn full_disk_child() {
    let dir = crate::processes::child_dir();
    mount_tmpfs(&dir, "size=512k");
    let open = |mode| store::Records::open(&dir, mode, model::NodeId::from_bits(1));
    let mut records = open(OpenMode::ReadWrite).unwrap();
    let web = add_network(&mut records, "web").network.id;
    let mut kept = Vec::new();
    let error = loop {
        match add_endpoint(&mut records, web, |_| {}) {
            Ok(record) => kept.push(record),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::NoSpace { .. }), "{error:?}");
    assert_eq!(records.endpoints().unwrap(), kept);
    drop(records);
    let mut records = open(OpenMode::ReadWrite).unwrap();
    assert_eq!(records.endpoints().unwrap(), kept);
    // Room again: work goes on.
    rustix::mount::mount_remount(&dir, rustix::mount::MountFlags::empty(), c"size=8m").unwrap();
    records.delete_endpoint(kept[0].endpoint.id, NOW).unwrap();
    records.checkpoint().unwrap();
    assert_eq!(records.endpoints().unwrap(), kept[1..]);
}

#[test]
fn a_disk_too_full_for_any_records_is_told() {
    let dir = StateDir::new();
    fs::create_dir(dir.path()).unwrap();
    run_child_in(
        &["unshare", "--mount"],
        "files::tiny_disk_child",
        dir.path(),
    );
}

#[test]
#[ignore = "runs as a child of another test"]
fn tiny_disk_child() {
    let dir = crate::processes::child_dir();
    mount_tmpfs(&dir, "size=8k");
    let open = || store::Records::open(&dir, OpenMode::ReadWrite, model::NodeId::from_bits(1));
    let error = open().unwrap_err();
    assert!(matches!(error, StoreError::NoSpace { .. }), "{error:?}");
    assert!(!dir.join("records.db").exists());
    rustix::mount::mount_remount(&dir, rustix::mount::MountFlags::empty(), c"size=8m").unwrap();
    assert_eq!(open().unwrap().networks().unwrap(), []);
}

#[test]
fn a_read_only_file_system_can_be_read() {
    let dir = filled();
    run_child_in(
        &["unshare", "--mount"],
        "files::read_only_child",
        dir.path(),
    );
}

#[test]
#[ignore = "runs as a child of another test"]
fn read_only_child() {
    use rustix::mount::{MountFlags, mount_bind, mount_remount};
    let dir = crate::processes::child_dir();
    mount_bind(&dir, &dir).expect("root is needed to mount");
    mount_remount(&dir, MountFlags::BIND | MountFlags::RDONLY, c"").unwrap();
    let open = |mode| store::Records::open(&dir, mode, model::NodeId::from_bits(1));
    for mode in [OpenMode::ReadWrite, OpenMode::Alone] {
        let error = open(mode).unwrap_err();
        assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    }
    let error = NodeLock::acquire(&dir, std::time::Duration::ZERO).unwrap_err();
    assert!(matches!(error, StoreError::ReadOnly { .. }), "{error:?}");
    let records = open(OpenMode::ReadOnly).unwrap();
    assert_eq!(records.endpoints().unwrap().len(), 50);
}

#[test]
fn a_file_that_others_own_is_refused_by_name() {
    let dir = filled();
    fs::set_permissions(dir.file(), PermissionsExt::from_mode(0o000)).unwrap();
    let without = "--bounding-set=-dac_override,-dac_read_search";
    run_child_in(
        &["setpriv", without],
        "files::no_permission_child",
        dir.path(),
    );
}

#[test]
#[ignore = "runs as a child of another test"]
fn no_permission_child() {
    let dir = crate::processes::child_dir();
    for mode in MODES {
        let opened = store::Records::open(&dir, mode, model::NodeId::from_bits(1));
        let error = opened.unwrap_err();
        assert!(matches!(error, StoreError::Permission { .. }), "{error:?}");
    }
}

#[test]
fn the_file_is_made_once_however_many_come_at_once() {
    let dir = StateDir::new();
    let children: Vec<_> = (0..8)
        .map(|_| run_child("files::create_child", dir.path()))
        .collect();
    let ids: std::collections::BTreeSet<String> = children
        .into_iter()
        .map(|child| child.finish().join("\n"))
        .collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert!(!dir.path().join("records.db.new").exists());
}

#[test]
#[ignore = "runs as a child of another test"]
fn create_child() {
    let dir = crate::processes::child_dir();
    let fresh = model::NodeId::from_bits(u64::from(std::process::id()));
    let records = store::Records::open(&dir, OpenMode::ReadWrite, fresh).unwrap();
    crate::processes::tell(&records.node_id().to_string());
}
