//! The ways out: straight to a host, or through the proxy of the configuration. The environment's
//! `HTTP_PROXY` and the like are not read: an agent does what its configuration says, whoever starts it.

use std::fs;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Certificate, Client, ClientBuilder, Proxy, Url, redirect};

use super::error::SourceError;
use super::guard::PublicResolver;
use super::http::{basic, percent_decoded};
use crate::config::{ProxyUrl, SourcesConfig};
use crate::jobs::with_source;

/// Longest time until a connection stands.
const CONNECT: Duration = Duration::from_secs(30);

/// One HTTP client for each way.
#[derive(Clone, Debug)]
pub(super) struct Clients {
    direct: Client,
    proxied: Option<Proxied>,
}

/// The way through a proxy.
#[derive(Clone, Debug)]
struct Proxied {
    client: Client,
    /// The proxy's URL without secrets.
    name: String,
    /// Hosts that are asked without it.
    exceptions: Vec<String>,
}

/// How a URL is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way<'a> {
    pub(super) client: &'a Client,
    /// The URL of the proxy it goes through, without secrets.
    pub(super) proxy: Option<&'a str>,
}

impl Clients {
    /// As configured. Reads the file of authorities; opens no connection.
    ///
    /// # Errors
    /// [`SourceError::Client`] when that file, or the system's root certificates, cannot be used.
    pub(super) fn new(config: &SourcesConfig) -> Result<Self, SourceError> {
        // The one provider that is built in. A second call finds it there, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let authorities = authorities(config)?;
        let base = || base(config).tls_certs_merge(authorities.clone());
        let mut direct = base();
        if !config.allow_private {
            direct = direct.dns_resolver(Arc::new(PublicResolver));
        }
        let proxied = match proxy(&config.proxy)? {
            None => None,
            // The proxy itself may well be in a private network: whoever configures it means it.
            Some(proxy) => Some(Proxied {
                client: build(base().proxy(proxy))?,
                name: config.proxy.to_string(),
                exceptions: config.no_proxy.iter().map(|host| plain(host)).collect(),
            }),
        };
        Ok(Self { direct: build(direct)?, proxied })
    }

    /// How `url` is asked.
    pub(super) fn way(&self, url: &Url) -> Way<'_> {
        match &self.proxied {
            Some(Proxied { client, name, exceptions }) if needs_proxy(url, exceptions) => {
                Way { client, proxy: Some(name) }
            }
            _ => Way { client: &self.direct, proxy: None },
        }
    }
}

fn base(config: &SourcesConfig) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("vigie-agent/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
        .connect_timeout(CONNECT.min(Duration::from_secs(config.stall_s)))
        .pool_idle_timeout(Duration::from_secs(30))
}

fn build(builder: ClientBuilder) -> Result<Client, SourceError> {
    builder.build().map_err(|error| SourceError::Client(with_source(&error)))
}

/// The authorities that are trusted beside the system's.
fn authorities(config: &SourcesConfig) -> Result<Vec<Certificate>, SourceError> {
    let path = &config.ca_file;
    if path.as_os_str().is_empty() {
        return Ok(Vec::new());
    }
    let bad = |why: String| SourceError::Client(format!("ca_file {}: {why}", path.display()));
    let text = fs::read(path).map_err(|error| bad(error.to_string()))?;
    let found = Certificate::from_pem_bundle(&text).map_err(|error| bad(with_source(&error)))?;
    match found.is_empty() {
        true => Err(bad("there is no PEM certificate in it".to_owned())),
        false => Ok(found),
    }
}

fn proxy(configured: &ProxyUrl) -> Result<Option<Proxy>, SourceError> {
    let Some(mut url) = configured.url() else { return Ok(None) };
    let (user, password) = (url.username().to_owned(), url.password().map(str::to_owned));
    // Neither fails for a URL with a host, which those of http have.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let proxy = Proxy::all(url).map_err(|error| SourceError::Client(with_source(&error)))?;
    Ok(Some(match (user.as_str(), password) {
        ("", None) => proxy,
        (user, password) => {
            let password = percent_decoded(&password.unwrap_or_default());
            proxy.custom_http_auth(basic(&percent_decoded(user), &password))
        }
    }))
}

/// What is on this machine is not asked through a proxy, for which "this machine" is another one.
fn needs_proxy(url: &Url, exceptions: &[String]) -> bool {
    let host = plain(url.host_str().unwrap_or_default());
    let address: Option<IpAddr> = host.parse().ok();
    let is_here = address.map_or_else(|| is_below(&host, "localhost"), |address| address.is_loopback());
    let is_exception = exceptions.iter().any(|exception| match address {
        Some(address) => exception.parse() == Ok(address),
        None => is_below(&host, exception),
    });
    !is_here && !is_exception
}

/// A host as it is compared: in small letters, without brackets and the dots around it.
fn plain(host: &str) -> String {
    host.trim_matches(['[', ']', '.']).to_lowercase()
}

/// Whether a name is `above`, or below it.
fn is_below(name: &str, above: &str) -> bool {
    name.strip_suffix(above).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_asked_through_the_proxy() {
        let exceptions = ["mirror.example", ".Corp.example", "10.0.0.7", "[2001:db8::1]"];
        let exceptions: Vec<String> = exceptions.into_iter().map(plain).collect();
        for (url, proxied) in [
            ("https://www.kaggle.com/", true),
            ("http://example:8080/", true),
            ("https://mirror.example/", false),
            ("https://MIRROR.example./", false),
            ("https://a.mirror.example/", false),
            ("https://notmirror.example/", true),
            ("https://mirror.example.org/", true),
            ("http://corp.example/", false),
            ("http://a.b.corp.example/", false),
            ("http://10.0.0.7:80/", false),
            ("http://10.0.0.70/", true),
            ("http://[2001:db8::1]/", false),
            ("http://[2001:db8::2]/", true),
            ("http://localhost:9/", false),
            ("http://a.localhost/", false),
            ("http://notlocalhost/", true),
            ("http://127.9.9.9/", false),
            ("http://[::1]/", false),
        ] {
            assert_eq!(needs_proxy(&url.parse().expect(url), &exceptions), proxied, "{url}");
        }
    }

    #[test]
    fn a_file_without_authorities_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.pem");
        let pem =
            |inside: &str| format!("-----BEGIN CERTIFICATE-----\n{inside}\n-----END CERTIFICATE-----\n");
        for (text, why) in [
            (None, "No such file"),
            (Some(String::new()), "no PEM certificate"),
            (Some("birds".to_owned()), "no PEM certificate"),
            (Some(pem("%%%")), "ca_file"),
            (Some(pem("YWJj")), ""),
        ] {
            text.iter().for_each(|text| fs::write(&path, text).expect("written"));
            let config = SourcesConfig { ca_file: path.clone(), ..SourcesConfig::default() };
            let error = Clients::new(&config).expect_err(why);
            assert!(matches!(error, SourceError::Client(_)) && error.to_string().contains(why), "{error}");
        }
    }
}
