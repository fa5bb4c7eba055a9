//! Through a proxy. What is asked for is at `origin.invalid`, a name that nobody can resolve: whatever
//! comes from there came through the proxy.

use super::server::Server;
use super::{ATTEMPTS, archive, download, fixture};
use crate::config::{ProxyUrl, SourcesConfig};
use crate::sources::error::SourceError;

/// `proxy-user:proxy-pass` and `al:origin-pass` as they are sent, in small letters.
const PROXY: &str = "cHJveHktdXNlcjpwcm94eS1wYXNz";
const ORIGIN: &str = "YWw6b3JpZ2luLXBhc3M=";

fn through(proxy: &Server) -> SourcesConfig {
    let proxy = format!("http://proxy-user:proxy-pass@{}", proxy.address);
    SourcesConfig {
        proxy: ProxyUrl::from(proxy.as_str()),
        ca_file: fixture("ca.pem"),
        stall_s: 20,
        ..SourcesConfig::default()
    }
}

fn heard(server: &Server, what: &str) -> bool {
    server.heard.all().iter().any(|heard| heard.contains(&what.to_lowercase()))
}

#[tokio::test]
async fn a_tunnel_hides_the_origins_credentials_and_resumes() {
    let origin = Server::start(Some("good"), &[400_000, 300_000]);
    let proxy = Server::proxy(origin.address, Some(PROXY));
    let url = "https://al:origin-pass@origin.invalid/birds.zip";
    assert_eq!(download(&through(&proxy), url).await.unwrap(), archive());

    let asked = origin.heard.all();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked[0].starts_with("get /birds.zip ") && !asked[0].contains("range:"), "{asked:?}");
    assert!(
        asked[1].contains("range: bytes=400000-") && asked[2].contains("range: bytes=700000-"),
        "{asked:?}"
    );
    assert!(asked.iter().all(|head| head.contains(&ORIGIN.to_lowercase())), "{asked:?}");
    assert!(!heard(&origin, "proxy-authorization"), "{asked:?}");
    assert!(heard(&proxy, "connect origin.invalid:443 "));
    assert!(!heard(&proxy, ORIGIN) && !heard(&proxy, "origin-pass") && !heard(&proxy, "birds.zip"));
}

#[tokio::test]
async fn open_connections_are_asked_as_of_a_proxy_and_resume() {
    let origin = Server::start(None, &[400_000]);
    let proxy = Server::proxy(origin.address, Some(PROXY));
    let config = through(&proxy);
    assert_eq!(download(&config, "http://origin.invalid/birds.zip").await.unwrap(), archive());
    let asked = origin.heard.all();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[1].contains("range: bytes=400000-") && asked[1].contains("if-range: \"1\""), "{asked:?}");
    assert!(!heard(&origin, "proxy-authorization"), "{asked:?}");
    assert!(heard(&proxy, "get http://origin.invalid/birds.zip "));

    // Whoever is between could read them.
    let error = download(&config, "http://al:origin-pass@origin.invalid/birds.zip").await.unwrap_err();
    assert!(error.to_string().contains("would be told to the proxy"), "{error}");
    assert!(error.again().is_none() && !heard(&proxy, ORIGIN) && origin.heard.all().len() == 2);
}

#[tokio::test]
async fn exceptions_and_this_machine_are_asked_directly() {
    let origin = Server::start(None, &[]);
    let proxy = Server::proxy(origin.address, None);
    let url = format!("http://al:origin-pass@localhost:{}/birds.zip", origin.address.port());
    let config = SourcesConfig { allow_private: true, ..through(&proxy) };
    assert_eq!(download(&config, &url).await.unwrap(), archive());
    assert!(proxy.heard.all().is_empty() && !heard(&origin, PROXY) && heard(&origin, ORIGIN));

    let config = SourcesConfig { no_proxy: vec!["invalid".to_owned()], ..config };
    let error = download(&config, "https://origin.invalid/birds.zip").await.unwrap_err();
    assert!(matches!(error, SourceError::Unreachable { .. }) && proxy.heard.all().is_empty(), "{error}");
}

#[tokio::test]
async fn private_addresses_are_not_asked_of_a_proxy_either() {
    let origin = Server::start(None, &[]);
    let proxy = Server::proxy(origin.address, None);
    for host in ["10.0.0.1", "169.254.169.254", "0xa.1", "[::ffff:10.0.0.1]", "127.0.0.1", "localhost"] {
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://{host}/birds.zip");
            let error = download(&through(&proxy), &url).await.unwrap_err();
            assert!(matches!(error, SourceError::Private(_)), "{url}: {error}");
        }
    }
    assert!(proxy.heard.all().is_empty() && origin.heard.all().is_empty());
}

#[tokio::test]
async fn a_proxy_that_refuses_us_is_asked_once() {
    let origin = Server::start(Some("good"), &[]);
    let proxy = Server::proxy(origin.address, Some("bm90LXdoYXQtd2Utc2F5"));
    for (number, scheme) in ["https", "http"].into_iter().enumerate() {
        let error =
            download(&through(&proxy), &format!("{scheme}://origin.invalid/b.zip")).await.unwrap_err();
        let said = format!("{error} {:?}", error.failure());
        assert!(matches!(error, SourceError::Proxy(_)), "{said}");
        assert!(said.contains(&proxy.address.to_string()) && !said.contains("proxy-pass"), "{said}");
        assert_eq!(proxy.heard.all().len(), number + 1);
    }
    assert!(origin.heard.all().is_empty());
}

#[tokio::test]
async fn a_proxy_that_is_away_is_named_and_asked_again() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = ProxyUrl::from(format!("http://al:SECRET@{gone}").as_str());
    let config = SourcesConfig { proxy, ..SourcesConfig::default() };
    let error = download(&config, "https://origin.invalid/b.zip").await.unwrap_err();
    let said = error.to_string();
    assert!(said.contains(&format!("through the proxy http://{gone}")) && error.again().is_some(), "{said}");
    assert!(!said.contains("SECRET"), "{said}");

    // Answers of a proxy that cannot reach the host are worth another attempt.
    let nowhere = Server::proxy(gone, None);
    let error = download(&through(&nowhere), "https://origin.invalid/b.zip").await.unwrap_err();
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    assert_eq!(nowhere.heard.all().len(), ATTEMPTS as usize);
}
