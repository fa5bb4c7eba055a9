//! Launches the workers of all jobs; for an import of what is elsewhere, downloads that first.
//!
//! The engine sees one attempt all the way: its reports come from the download, then from the worker.

use std::io;
use std::sync::Arc;

use tokio::sync::mpsc;
use vigie_protocol::JobId;
use vigie_protocol::job::{FailureCause, JobFailure};

use super::Sources;
use super::teller::{SHARE, Teller};
use crate::jobs::{Ending, Launcher, Order, Worker, WorkerEvent};
use crate::worker::{ImportInput, Report, Work, WorkerTask};

/// Reports that wait for the engine.
const EVENTS: usize = 64;

/// Starts workers with another launcher, once their input is on this machine.
pub struct FetchingLauncher<L> {
    inner: Arc<L>,
    sources: Arc<Sources>,
}

impl<L: Launcher> FetchingLauncher<L> {
    /// Downloads with `sources`, then launches with `inner`.
    pub fn new(inner: L, sources: Arc<Sources>) -> Self {
        Self { inner: Arc::new(inner), sources }
    }
}

impl<L: Launcher> Launcher for FetchingLauncher<L> {
    fn launch(&self, job: JobId, task: WorkerTask) -> io::Result<Worker> {
        if !matches!(&task.work, Work::Import { input: ImportInput::Remote(_), .. }) {
            return self.inner.launch(job, task);
        }
        let (events, inbox) = mpsc::channel(EVENTS);
        // Room for each order; a third would say nothing new.
        let (orders, outbox) = mpsc::channel(2);
        let attempt = Attempt {
            job,
            inner: self.inner.clone(),
            sources: self.sources.clone(),
            events: events.clone(),
            orders: outbox,
        };
        tokio::spawn(async move {
            let ending = attempt.run(task).await;
            let _ = events.send(WorkerEvent::Ended(ending)).await;
        });
        Ok(Worker { pid: None, events: inbox, orders })
    }
}

struct Attempt<L> {
    job: JobId,
    inner: Arc<L>,
    sources: Arc<Sources>,
    events: mpsc::Sender<WorkerEvent>,
    orders: mpsc::Receiver<Order>,
}

impl<L: Launcher> Attempt<L> {
    async fn run(mut self, mut task: WorkerTask) -> Ending {
        if let Work::Import { input, .. } = &mut task.work
            && let ImportInput::Remote(source) = input
        {
            let mut teller = Teller::new(self.events.clone());
            let fetched = tokio::select! {
                fetched = self.sources.fetch(self.job, source, &mut teller) => fetched,
                // To stop, to be gone, or nobody is there any more: what came stays.
                _ = self.orders.recv() => return Ending::default(),
            };
            match fetched {
                Ok(file) => *input = ImportInput::Zip(file),
                Err(error) => return self.failed(error.failure()).await,
            }
        }
        match self.inner.launch(self.job, task) {
            Ok(worker) => self.follow(worker).await,
            Err(error) => {
                let message = format!("the worker cannot be started: {error}");
                self.failed(JobFailure { cause: FailureCause::Error, message, hint: None }).await
            }
        }
    }

    /// Passes the worker's events and the engine's orders on.
    async fn follow(&mut self, worker: Worker) -> Ending {
        let Worker { pid, mut events, orders } = worker;
        let mut orders = Some(orders);
        self.tell(WorkerEvent::Started { pid }).await;
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(WorkerEvent::Ended(ending)) => return ending,
                    Some(event) => self.tell(behind_the_download(event)).await,
                    None => {
                        let garbled = Some("nothing more came".to_owned());
                        return Ending { garbled, ..Ending::default() };
                    }
                },
                order = self.orders.recv(), if orders.is_some() => match (order, &orders) {
                    // It is empty before the first order.
                    (Some(order), Some(orders)) => drop(orders.try_send(order)),
                    // Dropping it has the worker killed.
                    _ => orders = None,
                },
            }
        }
    }

    async fn failed(&self, failure: JobFailure) -> Ending {
        self.tell(WorkerEvent::Report(Report::Failed { failure })).await;
        Ending { code: Some(1), ..Ending::default() }
    }

    async fn tell(&self, event: WorkerEvent) {
        let _ = self.events.send(event).await;
    }
}

/// The worker's share of the job begins where the download's ends.
fn behind_the_download(event: WorkerEvent) -> WorkerEvent {
    match event {
        WorkerEvent::Report(Report::Step { stage, done, total, unit, fraction }) => {
            let fraction = SHARE + (1.0 - SHARE) * fraction;
            WorkerEvent::Report(Report::Step { stage, done, total, unit, fraction })
        }
        event => event,
    }
}
