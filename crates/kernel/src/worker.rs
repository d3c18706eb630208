//! A thread that stands in one network namespace and does jobs there.
//!
//! setns(2) moves a whole thread, and `/proc/sys/net` shows the namespace of the thread that
//! opens it: so each target has a thread of its own, and the calling thread never moves.

use std::sync::mpsc;
use std::thread::JoinHandle;

/// Jobs are a few system calls deep, in bytes.
const STACK_BYTES: usize = 256 * 1024;

type Job = Box<dyn FnOnce() + Send>;

/// The thread ended before it answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended;

#[derive(Debug)]
pub struct Worker {
    /// `None` only while dropping.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// # Errors
    /// No thread to be had.
    pub fn start() -> std::io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let thread = std::thread::Builder::new()
            .name("netns".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || queue.into_iter().for_each(|job| job()))?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Does `job` on the thread and waits for its answer.
    ///
    /// # Errors
    /// The thread is gone.
    pub fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Ended> {
        let (answer, answered) = mpsc::sync_channel(1);
        let job: Job = Box::new(move || {
            // The asker waits for it; nobody else can have gone.
            let _ = answer.send(job());
        });
        let jobs = self.jobs.as_ref().ok_or(Ended)?;
        jobs.send(job).map_err(|_| Ended)?;
        answered.recv().map_err(|_| Ended)
    }
}

impl Drop for Worker {
    /// Waits for the thread to end: the namespace is not held any longer than the handle.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A job that panicked has told its asker already.
            let _ = thread.join();
        }
    }
}
