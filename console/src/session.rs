//! A connection to one agent, and the ways commands ask it.

use std::time::{Duration, Instant};

use tarpc::client::RpcError;
use tarpc::context::Context;
use vigie_protocol::ApiError;
use vigie_protocol::event::{Update, WatchCursor};
use vigie_protocol::page::{Page, PageRequest};
use vigie_protocol::service::{VigieClient, Watch};

use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;

/// A connected agent.
pub struct Session {
    client: VigieClient,
    timeout: Duration,
    interrupt: Interrupt,
}

impl Session {
    /// Asks once.
    pub async fn call<Q, A>(
        &self,
        method: impl AsyncFnOnce(&VigieClient, Context, Q) -> Result<Result<A, ApiError>, RpcError>,
        request: Q,
    ) -> Result<A, Failure> {
        let mut context = tarpc::context::current();
        context.deadline = Instant::now() + self.timeout;
        let answer = self.interrupt.or(method(&self.client, context, request)).await?;
        answer.map_err(|error| Failure::new(Exit::Unreachable, error.to_string()))?.map_err(Failure::from)
    }

    /// Reads a list page by page until `limit` rows are there; 0 means all of them.
    pub async fn pages<T>(
        &self,
        limit: usize,
        mut page: impl AsyncFnMut(PageRequest) -> Result<Page<T>, Failure>,
    ) -> Result<Vec<T>, Failure> {
        let mut rows = Vec::new();
        let mut cursor = None;
        loop {
            let missing = if limit == 0 { usize::MAX } else { limit - rows.len() };
            // The agent caps a page at 1,000 rows whatever is asked for.
            let wanted = u32::try_from(missing.min(1_000)).unwrap_or(1_000);
            let Page { items, next } = page(PageRequest { cursor, limit: wanted }).await?;
            rows.extend(items.into_iter().take(missing));
            cursor = next;
            if cursor.is_none() || rows.len() == limit {
                return Ok(rows);
            }
        }
    }
}
