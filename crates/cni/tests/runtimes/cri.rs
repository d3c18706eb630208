//! containerd as a kubelet uses it: calls of the Container Runtime Interface, runtime.v1.
//!
//! Debian 12 has no crictl. A call is one HTTP/2 request, which curl sends; the few messages needed
//! are written by [`crate::proto`]. Field numbers are those of kubernetes/cri-api's api.proto.

use std::fs;
use std::time::Duration;

use testnet::{Transport, wait_until};

use crate::containerd::{Containerd, SOCKET};
use crate::image;
use crate::pen::DIR;
use crate::proto::{Message, field, text_field};

const READY_BOUND: Duration = Duration::from_secs(10);
const STOP_BOUND: Duration = Duration::from_secs(20);
const EXEC_SECS: u64 = 5;
/// A gRPC frame opens with a flag and the length of what follows.
const FRAME_HEADER: usize = 5;

pub struct Cri<'a> {
    containerd: &'a Containerd<'a>,
}

/// A pod, by its name and the ports it publishes: transport, container's port, node's port.
pub struct PodSpec {
    pub name: &'static str,
    pub ports: &'static [(Transport, u16, u16)],
}

/// A sandbox that runs.
pub struct Pod {
    id: String,
    config: Message,
}

impl<'a> Cri<'a> {
    /// Waits until its network is ready, as a node's condition says.
    pub fn new(containerd: &'a Containerd<'a>) -> Self {
        let cri = Self { containerd };
        // StatusResponse.status(1).conditions(1): type(1) NetworkReady, status(2) true.
        let ready = Message::new().text(1, "NetworkReady").number(2, 1);
        wait_until("CRI's network", READY_BOUND, || {
            let status = cri.call("Status", &Message::new());
            status
                .windows(ready.as_bytes().len())
                .any(|window| window == ready.as_bytes())
        });
        cri
    }

    pub fn start_pod(&self, spec: &PodSpec) -> Pod {
        let config = sandbox_config(spec);
        let request = Message::new().message(1, &config);
        let answer = self.call("RunPodSandbox", &request);
        let id = text_field(&answer, 1).expect("a sandbox has an id");
        Pod { id, config }
    }

    /// Its IPv4 address: PodSandboxStatusResponse.status(1).network(5).ip(1).
    pub fn address(&self, pod: &Pod) -> String {
        let request = Message::new().text(1, &pod.id);
        let answer = self.call("PodSandboxStatus", &request);
        let network = field(&answer, 1).and_then(|status| field(status, 5));
        network
            .and_then(|network| text_field(network, 1))
            .expect("a pod has an address")
    }

    /// Starts a container in the pod and gives its id.
    pub fn start_container(&self, pod: &Pod, command: &[&str]) -> String {
        let container = Message::new()
            .message(1, &Message::new().text(1, "main"))
            .message(2, &Message::new().text(1, image::NAME))
            .texts(3, command);
        let request = Message::new()
            .text(1, &pod.id)
            .message(2, &container)
            .message(3, &pod.config);
        let answer = self.call("CreateContainer", &request);
        let id = text_field(&answer, 1).expect("a container has an id");
        self.call("StartContainer", &Message::new().text(1, &id));
        id
    }

    /// What the command prints in the container.
    pub fn exec(&self, container: &str, command: &[&str]) -> String {
        let request = Message::new()
            .text(1, container)
            .texts(2, command)
            .number(3, EXEC_SECS);
        let answer = self.call("ExecSync", &request);
        text_field(&answer, 1).unwrap_or_default()
    }

    pub fn remove_pod(&self, pod: &Pod) {
        let request = Message::new().text(1, &pod.id);
        // Asked again until it is done, as the kubelet does: containerd fails to stop a sandbox
        // whose death it is just hearing of.
        wait_until("the pod stops", STOP_BOUND, || {
            self.ask("StopPodSandbox", &request).is_ok()
        });
        self.call("RemovePodSandbox", &request);
    }

    /// The pid of the process that holds the pod's namespaces, inside the pen.
    pub fn pid(&self, pod: &Pod) -> u32 {
        let pid = self.containerd.pid(&pod.id);
        pid.expect("the sandbox runs")
    }

    fn call(&self, method: &str, request: &Message) -> Vec<u8> {
        self.ask(method, request)
            .unwrap_or_else(|headers| panic!("{method}: {headers}{}", self.containerd.log()))
    }

    /// The answer, or the headers of a refusal.
    fn ask(&self, method: &str, request: &Message) -> Result<Vec<u8>, String> {
        let (sent, received) = (format!("{DIR}/request"), format!("{DIR}/response"));
        let length = u32::try_from(request.as_bytes().len()).expect("requests are short");
        let frame = [&[0], &length.to_be_bytes()[..], request.as_bytes()].concat();
        fs::write(&sent, frame).expect("/run can be written");
        let url = format!("http://localhost/runtime.v1.RuntimeService/{method}");
        let mut curl = vec!["curl", "--silent", "--show-error", "--max-time", "30"];
        curl.extend(["--http2-prior-knowledge", "--unix-socket", SOCKET]);
        curl.extend(["--header", "content-type: application/grpc"]);
        curl.extend(["--header", "te: trailers", "--dump-header", "-"]);
        let body = format!("@{sent}");
        curl.extend(["--data-binary", &body, "--output", &received, &url]);
        let _ = fs::remove_file(&received);
        let headers = self.containerd.pen().run(&curl).expect_success(method);
        if !headers.lines().any(|line| line == "grpc-status: 0") {
            return Err(headers);
        }
        let answer = fs::read(&received).expect("curl has written it");
        Ok(answer.get(FRAME_HEADER..).unwrap_or_default().to_vec())
    }
}

/// PodSandboxConfig: metadata(1), hostname(2), port_mappings(5).
fn sandbox_config(spec: &PodSpec) -> Message {
    let metadata = Message::new()
        .text(1, spec.name)
        .text(2, "uid-of-the-test")
        .text(3, "default");
    let config = Message::new().message(1, &metadata).text(2, spec.name);
    spec.ports.iter().fold(config, |config, port| {
        let (transport, container_port, node_port) = *port;
        let protocol = match transport {
            Transport::Tcp => 0,
            Transport::Udp => 1,
        };
        let mapping = Message::new()
            .number(1, protocol)
            .number(2, container_port.into())
            .number(3, node_port.into());
        config.message(5, &mapping)
    })
}
