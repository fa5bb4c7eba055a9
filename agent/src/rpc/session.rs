//! One connection, as the handlers see it.

use vigie_protocol::access::Principal;
use vigie_protocol::wire::WireCodec;
use vigie_protocol::wire::unix::Peer;

/// Who is connected, and how.
#[derive(Clone, Debug)]
pub struct Session {
    /// Counts the connections of this start of the agent.
    pub serial: u64,
    /// Who they are and what they may do.
    pub principal: Principal,
    /// What the kernel says of them.
    pub peer: Peer,
    /// What they call themselves: `console 0.1.0`.
    pub client: String,
    /// What they speak.
    pub codec: WireCodec,
}
