//! Certificates of a lab's own authority: one for etcd, one for each node. They are made by
//! openssl(1), outlive any lab, and go with it.

use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Command;

use crate::Tools;
use crate::error::LabError;
use crate::node::Node;
use crate::spec::LabName;
use crate::{place, run};

/// Whose certificate signs all others.
pub const AUTHORITY: &str = "ca";
pub const PROGRAM: &str = "openssl";

/// For each name a key and a certificate. What openssl says is kept for where it fails.
const SCRIPT: &str = r#"
cd "$TLS_DIR"
new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout "$1.key" "$2" "$1.$3" $4; }
new ca -out pem "-x509 -days 3650" 2>said || { cat said >&2; exit 1; }
printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$ADDRESSES" >extensions
for name in $NAMES; do
	new "$name" -out csr "" 2>said || { cat said >&2; exit 1; }
	openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 \
		-extfile extensions -out "$name.pem" 2>said || { cat said >&2; exit 1; }
	rm "$name.csr"
done
rm said extensions
"#;

fn dir(lab: &LabName) -> PathBuf {
    place::store_dir(lab).join("tls")
}

/// A machine's certificate.
pub fn certificate(lab: &LabName, name: &str) -> PathBuf {
    dir(lab).join(format!("{name}.pem"))
}

pub fn key(lab: &LabName, name: &str) -> PathBuf {
    dir(lab).join(format!("{name}.key"))
}

/// Makes them for a server with these addresses, and for all nodes.
pub fn make(
    lab: &LabName,
    addresses: &[IpAddr],
    nodes: &[Node],
    tools: &Tools,
) -> Result<(), LabError> {
    let dir = dir(lab);
    fs::create_dir_all(&dir).map_err(|source| LabError::MakeDir {
        path: dir.clone(),
        source,
    })?;
    let names = nodes.iter().map(|node| node.name.as_str());
    let names: Vec<&str> = [place::STORE].into_iter().chain(names).collect();
    let addresses: Vec<String> = addresses.iter().map(|ip| format!("IP:{ip}")).collect();
    let mut command = Command::new("sh");
    command
        .env("TLS_DIR", dir)
        .env("NAMES", names.join(" "))
        .env("ADDRESSES", addresses.join(","));
    (tools.announce)(&run::as_typed(&command, SCRIPT));
    run::output(
        command.args(["-euc", SCRIPT]),
        "making certificates with openssl",
    )
    .map(drop)
}
