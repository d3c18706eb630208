//! From settings to a channel to one server.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::error::Fault;
use crate::settings::{EtcdSettings, Login, TlsFiles};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that carries a watch is asked whether it lives: etcd takes no more than one such
/// question each 5 s (`--grpc-keepalive-min-time`).
const PING_EVERY: Duration = Duration::from_secs(6);
const PING_TIMEOUT: Duration = Duration::from_secs(4);

/// Connects to one server.
pub async fn connect(settings: &EtcdSettings, endpoint: &str) -> Result<Channel, Fault> {
    let prepared = prepare(settings, endpoint)?;
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, prepared.connect()).await;
    let connected = connected.map_err(|_| Fault::Silent {
        endpoint: endpoint.to_owned(),
        bound: CONNECT_TIMEOUT,
    })?;
    connected.map_err(|source| Fault::Connect {
        endpoint: endpoint.to_owned(),
        source,
    })
}

fn prepare(settings: &EtcdSettings, endpoint: &str) -> Result<Endpoint, Fault> {
    let url = url(endpoint, settings.tls.is_some())?;
    let refuse = || Fault::Endpoint {
        endpoint: endpoint.to_owned(),
    };
    let secure = url.starts_with("https://");
    let prepared = Endpoint::from_shared(url)
        .map_err(|_| refuse())?
        .tcp_nodelay(true)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT);
    match (&settings.tls, secure) {
        (None, false) => Ok(prepared),
        (None, true) => Err(Fault::NoAuthority {
            endpoint: endpoint.to_owned(),
        }),
        (Some(_), false) => Err(Fault::PlainText {
            endpoint: endpoint.to_owned(),
        }),
        (Some(files), true) => {
            let tls = tls(files)?;
            prepared.tls_config(tls).map_err(|source| Fault::Connect {
                endpoint: endpoint.to_owned(),
                source,
            })
        }
    }
}

fn url(endpoint: &str, secure: bool) -> Result<String, Fault> {
    let (scheme, rest) = match endpoint.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
        None if secure => ("https", endpoint),
        None => ("http", endpoint),
        Some(_) => ("", ""),
    };
    let authority: Result<http::uri::Authority, _> = rest.trim_end_matches('/').parse();
    match authority {
        Ok(authority) if authority.port().is_some() => Ok(format!("{scheme}://{authority}")),
        _ => Err(Fault::Endpoint {
            endpoint: endpoint.to_owned(),
        }),
    }
}

fn tls(files: &TlsFiles) -> Result<ClientTlsConfig, Fault> {
    let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&files.ca)?));
    Ok(match &files.client {
        None => config,
        Some((certificate, key)) => {
            config.identity(Identity::from_pem(read(certificate)?, read(key)?))
        }
    })
}

/// The first line of the password's file.
pub fn read_password(login: &Login) -> Result<String, Fault> {
    let text = String::from_utf8_lossy(&read(&login.password_file)?).into_owned();
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    fs::read(path).map_err(|source| Fault::ReadFile {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_and_a_port_are_enough() {
        let of = |text: &str, secure| url(text, secure).ok();
        assert_eq!(
            of("192.0.2.1:2379", false).unwrap(),
            "http://192.0.2.1:2379"
        );
        assert_eq!(of("etcd-1:2379", true).unwrap(), "https://etcd-1:2379");
        assert_eq!(
            of("https://[2001:db8::1]:2379/", false).unwrap(),
            "https://[2001:db8::1]:2379"
        );
        for text in [
            "",
            "192.0.2.1",
            "ftp://a:1",
            "http://",
            "http://a:1/b",
            "unix:///x",
        ] {
            assert!(of(text, false).is_none(), "{text:?}");
        }
    }
}
