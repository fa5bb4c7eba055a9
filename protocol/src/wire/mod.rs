//! The wire: codecs, handshake, transports and the client actor.
