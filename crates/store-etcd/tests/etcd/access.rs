//! Being let in, and not: certificates, users.

use std::path::PathBuf;

use store::cluster::{ClusterError, ClusterStore};
use store_etcd::{Etcd, EtcdSettings, Login, TlsFiles};
use testnet::Node;

use crate::contract::{QUIET, WAKE_BOUND, blue, join};
use crate::server::{ADDRESS, Server};

/// An authority, a server and a client that it knows; and the same of another authority.
const CERTIFICATES: &str = "\
new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$1 -keyout $1.key \"${@:2}\" 2>/dev/null; }
for side in right wrong; do
	mkdir -p /run/tls/$side
	cd /run/tls/$side
	new ca -x509 -days 2 -out ca.pem
	for name in server client; do
		new $name -out $name.csr
		printf 'subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=serverAuth,clientAuth\\n' > ext
		openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out $name.pem 2>/dev/null
	done
done";

fn file(side: &str, name: &str) -> PathBuf {
    PathBuf::from(format!("/run/tls/{side}/{name}"))
}

fn secure_server() -> Server {
    let node = Node::new();
    let made = node.run(&["bash", "-euc", CERTIFICATES]);
    assert!(made.success(), "make certificates with openssl: {made}");
    let path = |name| file("right", name).display().to_string();
    let options = [
        format!("--cert-file={}", path("server.pem")),
        format!("--key-file={}", path("server.key")),
        format!("--trusted-ca-file={}", path("ca.pem")),
        "--client-cert-auth".to_owned(),
    ];
    let server = Server::start_with(node, "https", &options);
    server.wait_ready(|| secure("right", Some("right")));
    server
}

/// Who trusts one side's authority, with the other's certificate, or none.
fn secure(authority: &str, client: Option<&str>) -> Etcd {
    let tls = TlsFiles {
        ca: file(authority, "ca.pem"),
        client: client.map(|side| (file(side, "client.pem"), file(side, "client.key"))),
    };
    let settings = EtcdSettings {
        tls: Some(tls),
        ..EtcdSettings::new(vec![ADDRESS.to_owned()])
    };
    Etcd::new(settings).unwrap()
}

#[test]
fn certificates_of_one_authority_let_a_node_in() {
    let _server = secure_server();
    let mut store = secure("right", Some("right"));
    store.create_network(&blue()).unwrap();
    join(&mut store, "a", 1);
    let since = store.read().unwrap().revision;
    assert!(!store.wait(&since, QUIET).unwrap());
    join(&mut store, "b", 2);
    assert!(store.wait(&since, WAKE_BOUND).unwrap());
}

#[test]
fn other_certificates_do_not() {
    let _server = secure_server();
    for (authority, client) in [
        ("wrong", Some("right")),
        ("right", Some("wrong")),
        ("right", None),
    ] {
        let error = secure(authority, client).read().unwrap_err();
        let story = story(&error);
        assert!(
            matches!(error, ClusterError::Denied { .. }),
            "{authority} {client:?}: {story}"
        );
        assert!(
            story.contains("certificate"),
            "{authority} {client:?}: {story}"
        );
    }
    let plain = EtcdSettings::new(vec![format!("http://{ADDRESS}")]);
    assert!(Etcd::new(plain).unwrap().read().is_err());
    let unknown = EtcdSettings::new(vec![format!("https://{ADDRESS}")]);
    let error = Etcd::new(unknown).unwrap().read().unwrap_err();
    assert!(matches!(error, ClusterError::Settings { .. }), "{error:?}");
}

#[test]
fn settings_that_can_not_be_used_are_told_with_the_file() {
    let _node = Node::new();
    let error = secure("right", None).read().unwrap_err();
    assert!(matches!(error, ClusterError::Settings { .. }), "{error:?}");
    assert!(
        story(&error).contains("can't read /run/tls/right/ca.pem"),
        "{}",
        story(&error)
    );
    assert!(Etcd::new(EtcdSettings::new(Vec::new())).is_err());
}

/// An error with all its sources.
fn story(error: &dyn std::error::Error) -> String {
    let mut story = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        story += &format!(": {error}");
        next = error.source();
    }
    story
}

fn guarded_server() -> Server {
    let server = Server::start();
    for line in [
        "user add root:secret",
        "user add node:word",
        "user add reader:word",
        "user grant-role root root",
        "role add node",
        "role grant-permission node --prefix=true readwrite /pontoon/",
        "user grant-role node node",
        "role add reader",
        "role grant-permission reader --prefix=true read /pontoon/",
        "user grant-role reader reader",
        "auth enable",
    ] {
        server.ctl(&line.split(' ').collect::<Vec<_>>());
    }
    server
}

fn as_user(server: &Server, user: &str, password: &str) -> Etcd {
    let password_file = PathBuf::from(format!("/run/password-{user}"));
    std::fs::write(&password_file, format!("{password}\n")).unwrap();
    let login = Login {
        user: user.to_owned(),
        password_file,
    };
    Etcd::new(EtcdSettings {
        login: Some(login),
        ..server.settings()
    })
    .unwrap()
}

#[test]
fn a_user_with_the_password_is_let_in_and_stays_so_over_a_restart() {
    let server = guarded_server();
    let mut store = as_user(&server, "node", "word");
    store.create_network(&blue()).unwrap();
    join(&mut store, "a", 1);
    let since = store.read().unwrap().revision;
    server.kill();
    server.restart(|| as_user(&server, "node", "word"));
    // The server has forgotten the login; a watch says so in its own way.
    assert!(!store.wait(&since, QUIET).unwrap());
    join(&mut as_user(&server, "node", "word"), "b", 2);
    assert!(store.wait(&since, WAKE_BOUND).unwrap());
    assert_eq!(store.read().unwrap().cluster.nodes.len(), 2);
}

#[test]
fn a_wrong_password_no_user_and_too_few_rights_are_told() {
    let server = guarded_server();
    let error = as_user(&server, "node", "guess").read().unwrap_err();
    assert!(matches!(error, ClusterError::Denied { .. }), "{error:?}");
    let error = server.etcd().read().unwrap_err();
    assert!(matches!(error, ClusterError::Denied { .. }), "{error:?}");
    let mut reader = as_user(&server, "reader", "word");
    let since = reader.read().unwrap().revision;
    assert!(!reader.wait(&since, QUIET).unwrap());
    let error = reader.create_network(&blue()).unwrap_err();
    assert!(matches!(error, ClusterError::Denied { .. }), "{error:?}");
    assert!(
        story(&error).contains("permission denied"),
        "{}",
        story(&error)
    );
}
