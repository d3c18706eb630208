//! Asking etcd: one server after the other, each within a bound, with a login where it is asked
//! for. It blocks.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use store::cluster::ClusterError;
use tokio::runtime::{Builder, Runtime};
use tokio_stream::StreamExt;
use tonic::client::Grpc;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::endpoint::{connect, read_password};
use crate::error::{Consequence, Fault};
use crate::settings::EtcdSettings;
use crate::wire;

/// How long one server may take to answer one request.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer: some hundred thousand records.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// A request to one server. It can be sent again.
trait Call {
    type Answer;
    fn send(&self, asked: Asked) -> impl Future<Output = Result<Self::Answer, Status>>;
}

/// A server that is asked, and as whom.
#[derive(Clone)]
struct Asked {
    channel: Channel,
    token: Option<MetadataValue<Ascii>>,
}

/// A connection to one of the servers, made when it is needed.
pub struct Connection {
    // Dropped before the runtime that drives it.
    channel: Option<Channel>,
    /// Whether the server has said anything on it yet.
    has_answered: bool,
    /// Good at every server, until it is too old or the users change.
    token: Option<MetadataValue<Ascii>>,
    /// Which endpoint is asked, by its place in the settings.
    at: usize,
    settings: Arc<EtcdSettings>,
    runtime: Runtime,
}

impl Connection {
    pub fn new(settings: Arc<EtcdSettings>) -> Result<Self, ClusterError> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let fault = match runtime {
            Ok(_) if settings.endpoints.is_empty() => Fault::NoEndpoint,
            Ok(runtime) => {
                return Ok(Self {
                    channel: None,
                    has_answered: false,
                    token: None,
                    at: 0,
                    settings,
                    runtime,
                });
            }
            Err(source) => Fault::Runtime { source },
        };
        Err(fault.into_cluster_error(settings.endpoints.join(", ")))
    }

    /// One request, one answer.
    pub fn ask<Q, R>(&mut self, path: &'static str, request: &Q) -> Result<R, Fault>
    where
        Q: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        self.call(&Unary {
            path,
            request,
            answer: std::marker::PhantomData,
        })
    }

    /// One request, and the first of its answers; the stream of further ones.
    pub fn open<Q, R>(
        &mut self,
        path: &'static str,
        request: &Q,
    ) -> Result<(R, Streaming<R>), Fault>
    where
        Q: Message + Clone + 'static,
        R: Message + Default + 'static,
    {
        self.call(&Opening {
            path,
            request,
            answer: std::marker::PhantomData,
        })
    }

    /// The next answer of a stream: none within `bound`, or the stream has ended.
    pub fn next<R>(&mut self, stream: &mut Streaming<R>, bound: Duration) -> Next<R> {
        let next = self
            .runtime
            .block_on(async { tokio::time::timeout(bound, stream.message()).await });
        match next {
            Err(_) => Next::Silence,
            Ok(Ok(Some(answer))) => Next::Answer(answer),
            Ok(Ok(None) | Err(_)) => {
                self.channel = None;
                Next::End
            }
        }
    }

    pub fn has_login(&self) -> bool {
        self.settings.login.is_some()
    }

    /// The fault as the caller sees it.
    pub fn refuse(&self, fault: Fault) -> ClusterError {
        fault.into_cluster_error(self.settings.endpoints.join(", "))
    }

    pub fn endpoint(&self) -> String {
        let endpoints = &self.settings.endpoints;
        endpoints[self.at].clone()
    }

    /// Asks each server in turn, from the last good one on.
    fn call<C: Call>(&mut self, call: &C) -> Result<C::Answer, Fault> {
        let mut left = self.settings.endpoints.len();
        // A connection that broke while nobody used it says nothing about its server.
        let mut is_old = self.channel.is_some();
        loop {
            let fault = match self.call_here(call) {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            if fault.consequence() != Consequence::TryAnother {
                return Err(fault);
            }
            self.channel = None;
            if is_old && !matches!(fault, Fault::Silent { .. }) {
                is_old = false;
                continue;
            }
            is_old = false;
            self.at = (self.at + 1) % self.settings.endpoints.len();
            left -= 1;
            if left == 0 {
                return Err(fault);
            }
        }
    }

    /// Asks one server, with a fresh login where it wants one.
    fn call_here<C: Call>(&mut self, call: &C) -> Result<C::Answer, Fault> {
        match self.call_once(call) {
            Err(fault) if fault.consequence() == Consequence::LogIn && self.has_login() => {
                self.log_in()?;
                self.call_once(call)
            }
            outcome => outcome,
        }
    }

    fn call_once<C: Call>(&mut self, call: &C) -> Result<C::Answer, Fault> {
        let asked = self.asked()?;
        match self.within(call.send(asked)) {
            Err(Fault::Status { endpoint, status }) if is_broken(&status) => {
                // A client's certificate is looked at when the client thinks that all is well,
                // and what the server says of it may get lost with the connection.
                Err(if self.settings.tls.is_some() && !self.has_answered {
                    Fault::Dropped { endpoint, status }
                } else {
                    Fault::Status { endpoint, status }
                })
            }
            outcome => {
                self.has_answered |= !matches!(outcome, Err(Fault::Silent { .. }));
                outcome
            }
        }
    }

    fn within<R>(&self, answer: impl Future<Output = Result<R, Status>>) -> Result<R, Fault> {
        let endpoint = self.endpoint();
        let answer = self
            .runtime
            .block_on(async { tokio::time::timeout(REQUEST_TIMEOUT, answer).await });
        match answer {
            Ok(answer) => answer.map_err(|status| Fault::Status {
                endpoint,
                status: Box::new(status),
            }),
            Err(_) => Err(Fault::Silent {
                endpoint,
                bound: REQUEST_TIMEOUT,
            }),
        }
    }

    fn asked(&mut self) -> Result<Asked, Fault> {
        let channel = match &self.channel {
            Some(channel) => channel.clone(),
            None => {
                let endpoint = self.endpoint();
                let connected = self.runtime.block_on(connect(&self.settings, &endpoint))?;
                self.channel = Some(connected.clone());
                self.has_answered = false;
                connected
            }
        };
        Ok(Asked {
            channel,
            token: self.token.clone(),
        })
    }

    /// A fresh login, where there is a user.
    pub fn log_in(&mut self) -> Result<(), Fault> {
        // An old one would be refused with the request for a new one.
        self.token = None;
        let Some(login) = &self.settings.login else {
            return Ok(());
        };
        let request = wire::AuthenticateRequest {
            name: login.user.clone(),
            password: read_password(login)?,
        };
        let call = Unary {
            path: wire::AUTHENTICATE,
            request: &request,
            answer: std::marker::PhantomData::<wire::AuthenticateResponse>,
        };
        let answer = self.call_once(&call)?;
        let token = MetadataValue::try_from(answer.token).map_err(|_| Fault::Torn {
            endpoint: self.endpoint(),
            missing: "a token",
        })?;
        self.token = Some(token);
        Ok(())
    }
}

/// What came of a stream.
pub enum Next<R> {
    Answer(R),
    Silence,
    End,
}

struct Unary<'a, Q, R> {
    path: &'static str,
    request: &'a Q,
    answer: std::marker::PhantomData<R>,
}

impl<Q, R> Call for Unary<'_, Q, R>
where
    Q: Message + Clone + 'static,
    R: Message + Default + 'static,
{
    type Answer = R;
    async fn send(&self, asked: Asked) -> Result<R, Status> {
        let mut grpc = ready(&asked).await?;
        let request = with_metadata(Request::new(self.request.clone()), asked);
        let path = http::uri::PathAndQuery::from_static(self.path);
        let answer = grpc.unary(request, path, ProstCodec::<Q, R>::default());
        Ok(answer.await?.into_inner())
    }
}

struct Opening<'a, Q, R> {
    path: &'static str,
    request: &'a Q,
    answer: std::marker::PhantomData<R>,
}

impl<Q, R> Call for Opening<'_, Q, R>
where
    Q: Message + Clone + 'static,
    R: Message + Default + 'static,
{
    type Answer = (R, Streaming<R>);
    async fn send(&self, asked: Asked) -> Result<Self::Answer, Status> {
        let mut grpc = ready(&asked).await?;
        // The request's own end would be taken for goodbye.
        let requests = tokio_stream::once(self.request.clone()).chain(tokio_stream::pending());
        let request = with_metadata(Request::new(requests), asked);
        let path = http::uri::PathAndQuery::from_static(self.path);
        let answers = grpc.streaming(request, path, ProstCodec::<Q, R>::default());
        let mut answers = answers.await?.into_inner();
        let first = answers.message().await?;
        let first = first.ok_or_else(|| Status::unavailable("the stream ended at once"))?;
        Ok((first, answers))
    }
}

/// Whether the connection broke; else it is the server that says so.
fn is_broken(status: &Status) -> bool {
    status.source().is_some()
}

async fn ready(asked: &Asked) -> Result<Grpc<Channel>, Status> {
    let mut grpc = Grpc::new(asked.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX);
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::from_error(error.into()))?;
    Ok(grpc)
}

/// A server that has lost its leader says so, rather than keep us waiting.
fn with_metadata<M>(mut request: Request<M>, asked: Asked) -> Request<M> {
    let metadata = request.metadata_mut();
    metadata.insert("hasleader", MetadataValue::from_static("true"));
    if let Some(token) = asked.token {
        metadata.insert("token", token);
    }
    request
}
