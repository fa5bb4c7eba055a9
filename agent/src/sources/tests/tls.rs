//! Over TLS, with servers that can be trusted and servers that cannot.

use super::server::Server;
use super::{archive, download, fixture};
use crate::config::SourcesConfig;
use crate::sources::error::SourceError;

fn trusting(ca_file: &str) -> SourcesConfig {
    let ca_file = if ca_file.is_empty() { Default::default() } else { fixture(ca_file) };
    SourcesConfig { allow_private: true, stall_s: 20, ca_file, ..SourcesConfig::default() }
}

#[tokio::test]
async fn an_authority_of_our_own_is_trusted_and_downloads_resume() {
    let server = Server::start(Some("good"), &[400_000]);
    let url = format!("https://localhost:{}/birds.zip", server.address.port());
    assert_eq!(download(&trusting("ca.pem"), &url).await.unwrap(), archive());
    let asked = server.heard.all();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[1].contains("range: bytes=400000-"), "{asked:?}");
}

#[tokio::test]
async fn who_is_not_trusted_hears_nothing_and_is_asked_once() {
    for (certificate, ca_file, host, why, hint) in [
        (
            "good",
            "",
            "localhost",
            "an authority that this machine does not know",
            "`ca_file` under [sources]",
        ),
        ("good", "other.pem", "localhost", "does not know", "`ca_file` under [sources]"),
        (
            "good",
            "ca.pem",
            "127.0.0.1",
            "is for localhost, origin.invalid, not for 127.0.0.1",
            "host in the URL",
        ),
        ("other", "ca.pem", "localhost", "is for other.example, not for localhost", "host in the URL"),
        ("expired", "ca.pem", "localhost", "has expired: 2021-01-01", "clock"),
        ("early", "ca.pem", "localhost", "not valid before 2120-01-01", "clock"),
    ] {
        let server = Server::start(Some(certificate), &[]);
        let url = format!("https://al:origin-pass@{host}:{}/birds.zip", server.address.port());
        let error = download(&trusting(ca_file), &url).await.unwrap_err();
        let failure = error.failure();
        assert!(matches!(error, SourceError::Certificate { .. }), "{certificate}: {error}");
        assert!(failure.message.contains(why), "{certificate}: {failure:?}");
        assert!(failure.hint.is_some_and(|said| said.contains(hint)), "{certificate}: {error}");
        // Not tried again: the job ends at once.
        assert!(error.again().is_none() && server.heard.all().is_empty(), "{certificate}");
        assert_eq!(server.connections(), 1, "{certificate}");
    }
}
