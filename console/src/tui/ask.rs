//! Calling a method of an agent.

/// Calls one method: `ask!(client, health, Empty {}).await?`.
// A macro, because a method taken as a value cannot promise that its future is `Send`.
macro_rules! ask {
    ($client:expr, $method:ident, $request:expr) => {{
        let request = $request;
        $client.call(move |client, context| {
            let request = request.clone();
            async move { client.$method(context, request).await }
        })
    }};
}
pub(super) use ask;
