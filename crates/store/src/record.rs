//! What is kept of each network and endpoint beside the words of `model`.

use std::fmt;
use std::str::FromStr;

use model::{
    Endpoint, EndpointId, EndpointName, NetnsId, NetnsOrigin, Network, NetworkName, Publish,
};

/// A text in the records that is none of the words it may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a word that these records use")]
pub struct UnknownWord(pub String);

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word,)* })
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(UnknownWord(text.to_owned())),
                }
            }
        }
    };
}

words! {
    /// How far a network has come. Found as anything but `Ready` under the node's lock, a
    /// process died half way.
    NetworkLife {
        Creating = "creating",
        Ready = "ready",
        Removing = "removing",
    }
}

words! {
    /// How far an endpoint has come. Found as `Attaching` under the node's lock, a process died half
    /// way; one that leaves may wait for its turn, and anybody may finish it.
    EndpointLife {
        Attaching = "attaching",
        Attached = "attached",
        Detaching = "detaching",
        /// As `Detaching`, and its named namespace goes with it.
        Deleting = "deleting",
    }
}

/// A network and how far it has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkRecord {
    pub network: Network,
    pub life: NetworkLife,
}

/// An endpoint, how far it has come and the namespace it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRecord {
    pub endpoint: Endpoint,
    pub life: EndpointLife,
    /// `None` while attach has yet to make the namespace.
    pub netns: Option<NetnsId>,
    pub origin: NetnsOrigin,
    /// Seconds since 1970.
    pub created_at: u64,
}

/// The endpoint that has what another one asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub id: EndpointId,
    pub name: EndpointName,
    pub network: NetworkName,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "endpoint {} of network {}", self.name, self.network)
    }
}

/// A published port and the endpoint it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortOwner {
    pub publish: Publish,
    pub owner: Owner,
}
