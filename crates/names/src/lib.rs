//! Names of endpoints: which there are, who sees which, and the server that answers for them.
//!
//! The server reads the node's records, never writes them, and answers from memory; without it
//! containers attach and traffic flows all the same. `book` is the records as questions need them,
//! `question` and `answer` are messages without sockets, `upstream` is a question on its way to the
//! node's own resolvers, `pace` how fast one may ask, `server` waits for all of it in one thread,
//! `start` is how an attach has
//! it running. What a name is, `model` says; messages are hickory-proto's to read and write.

mod alone;
mod answer;
mod book;
mod client;
mod error;
#[cfg(test)]
mod fixture;
mod frames;
mod pace;
mod probe;
mod question;
mod report;
mod resolvers;
mod serve;
mod server;
mod start;
mod upstream;
mod watch;
mod ways;
mod wires;

pub use alone::own_session;
pub use book::{Addresses, Asker, Book, Listed, Others, Owner};
pub use error::{Complaint, NamesError, StartError};
pub use probe::answers;
pub use report::{Report, read_report};
pub use serve::{Stay, serve};
pub use start::{PROGRAM, READY, ensure, find};
