//! HTTP as sources need it: GET, redirects followed by hand, credentials for one origin alone, no
//! private addresses, nothing unbounded.

use std::error::Error;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use data_encoding::BASE64;
use reqwest::header::{
    ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue, IF_RANGE, LOCATION, RANGE, RETRY_AFTER,
};
use reqwest::{Response, StatusCode, Url};
use tokio::time::timeout;
use vigie_protocol::source::redacted_url;

use super::backoff;
use super::certificate::distrust;
use super::clients::Clients;
use super::error::SourceError;
use super::guard::{PrivateAddress, check_behind_proxy, is_private};
use crate::config::SourcesConfig;
use crate::jobs::with_source;

/// Redirects that are followed.
const MAX_REDIRECTS: usize = 5;

/// The most of an answer that is kept to say what went wrong.
const MAX_COMPLAINT: usize = 64 << 10;

/// Characters of a server's words that are passed on.
const MAX_SAID: usize = 300;

/// Makes requests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Http {
    clients: Clients,
    allow_private: bool,
    stall: Duration,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    /// Where; without user and password.
    pub(super) url: Url,
    /// What it is called in errors.
    pub(super) place: String,
    /// What `Authorization` says to the origin of `url`, and to nobody else.
    pub(super) authorization: Option<HeaderValue>,
    /// From which byte on, if not all.
    pub(super) from: Option<u64>,
    /// Only one byte, to see what comes.
    pub(super) probe: bool,
    /// For `from`: only of the file that has this entity tag or date, else all of the new one.
    pub(super) if_range: Option<HeaderValue>,
}

impl Ask {
    /// For what a URL names. A user and password in it become its authorization.
    ///
    /// # Errors
    /// [`SourceError::Url`] for what is no plain `http` or `https` URL.
    pub(super) fn of(text: &str) -> Result<Self, SourceError> {
        let bad = |reason| SourceError::Url { url: redacted_url(text), reason };
        // Parsers of URLs forgive much, each something else: only what all read alike is taken.
        let plain = text.starts_with("http://") || text.starts_with("https://");
        if !plain {
            return Err(bad("it must begin with http:// or https://"));
        }
        if text.len() > 8_192 || text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '\\') {
            return Err(bad("it has characters that a URL may not have, or is too long"));
        }
        let mut url: Url = text.parse().map_err(|_| bad("it is not a valid URL"))?;
        let authorization = match (url.username(), url.password()) {
            ("", None) => None,
            (user, password) => {
                let password = password.unwrap_or_default();
                Some(basic(&percent_decoded(user), &percent_decoded(password)))
            }
        };
        // Neither fails for a URL with a host, which those of http have.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        let place = redacted_url(text);
        Ok(Self { url, place, authorization, from: None, probe: false, if_range: None })
    }
}

/// What `Authorization: Basic` says.
pub(super) fn basic(user: &[u8], password: &[u8]) -> HeaderValue {
    let credentials = BASE64.encode(&[user, b":", password].concat());
    // Base64 has no character that a header may not have.
    secret(&format!("Basic {credentials}")).unwrap_or_else(|| HeaderValue::from_static(""))
}

/// What `Authorization: Bearer` says; nothing for what can be no token.
pub(super) fn bearer(token: &str) -> Option<HeaderValue> {
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    is_token.then(|| secret(&format!("Bearer {token}")))?
}

fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl Http {
    /// As configured.
    ///
    /// # Errors
    /// When the system's root certificates, or those of the configuration, cannot be read.
    pub(super) fn new(config: &SourcesConfig) -> Result<Self, SourceError> {
        let SourcesConfig { allow_private, stall_s, .. } = *config;
        Ok(Self { clients: Clients::new(config)?, allow_private, stall: Duration::from_secs(stall_s) })
    }

    /// Asks, follows redirects, and returns the first answer that is none.
    pub(super) async fn get(&self, ask: &Ask) -> Result<Response, SourceError> {
        let mut at = self.get_once(ask, &ask.url, true).await?;
        let mut is_home = true;
        for _ in 0..MAX_REDIRECTS {
            let Some(next) = self.redirected(ask, &at)? else { return Ok(at) };
            // Once it left the origin, the authorization is not sent again, even if it comes back.
            is_home = is_home && next.origin() == ask.url.origin();
            at = self.get_once(ask, &next, is_home).await?;
        }
        match self.redirected(ask, &at)? {
            None => Ok(at),
            Some(_) => Err(odd(ask, format!("redirects more than {MAX_REDIRECTS} times"))),
        }
    }

    /// Asks once; a redirect is an answer like any other.
    pub(super) async fn get_once(
        &self,
        ask: &Ask,
        url: &Url,
        is_home: bool,
    ) -> Result<Response, SourceError> {
        self.check(ask, url)?;
        let way = self.clients.way(url);
        let authorization = ask.authorization.as_ref().filter(|_| is_home);
        if let Some(proxy) = way.proxy {
            self.check_behind_proxy(url).await?;
            if authorization.is_some() && url.scheme() != "https" {
                let reason = "its credentials would be told to the proxy: use https, or `no_proxy`";
                return Err(SourceError::Url { url: format!("{} through {proxy}", ask.place), reason });
            }
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        match (ask.probe, ask.from) {
            (true, _) => drop(headers.insert(RANGE, HeaderValue::from_static("bytes=0-0"))),
            (false, Some(from)) => {
                let range = HeaderValue::from_str(&format!("bytes={from}-"));
                headers.extend(range.ok().map(|range| (RANGE, range)));
                headers.extend(ask.if_range.clone().map(|validator| (IF_RANGE, validator)));
            }
            (false, None) => {}
        }
        let sent = way.client.get(url.clone()).headers(headers).send();
        match (timeout(self.stall, sent).await, way.proxy) {
            (Ok(Ok(response)), Some(proxy))
                if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED =>
            {
                Err(SourceError::Proxy(proxy.to_owned()))
            }
            (Ok(Ok(response)), _) => Ok(response),
            (Ok(Err(error)), proxy) => Err(broken(&ask.place, proxy, error)),
            (Err(_), _) => {
                Err(SourceError::Stalled { place: ask.place.clone(), seconds: self.stall.as_secs() })
            }
        }
    }

    /// Where an answer redirects to.
    fn redirected(&self, ask: &Ask, response: &Response) -> Result<Option<Url>, SourceError> {
        if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
        let Some(location) = location else {
            return Err(odd(ask, "redirects to nowhere".to_owned()));
        };
        let next = response.url().join(location);
        let mut next = next.map_err(|_| odd(ask, "redirects to what is no URL".to_owned()))?;
        let downgrades = response.url().scheme() == "https" && next.scheme() != "https";
        if downgrades {
            return Err(odd(ask, "redirects from https to an open connection".to_owned()));
        }
        // A redirect gives no credentials.
        let _ = next.set_username("");
        let _ = next.set_password(None);
        Ok(Some(next))
    }

    /// Refuses what must not be asked. Names are looked at when they are resolved.
    fn check(&self, ask: &Ask, url: &Url) -> Result<(), SourceError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(odd(ask, "redirects to what is neither http nor https".to_owned()));
        }
        let host = url.host_str().unwrap_or_default();
        let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
        if !self.allow_private && address.is_some_and(is_private) {
            return Err(SourceError::Private(host.to_owned()));
        }
        Ok(())
    }

    /// The same for a name that the proxy resolves.
    async fn check_behind_proxy(&self, url: &Url) -> Result<(), SourceError> {
        let host = url.host_str().unwrap_or_default();
        if self.allow_private || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
            return Ok(());
        }
        check_behind_proxy(host).await.map_err(|PrivateAddress(host)| SourceError::Private(host))
    }

    /// The next piece of a body; nothing at its end.
    pub(super) async fn piece(
        &self,
        place: &str,
        response: &mut Response,
    ) -> Result<Option<impl AsRef<[u8]> + use<>>, SourceError> {
        match timeout(self.stall, response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece),
            Ok(Err(error)) => Err(broken(place, None, error)),
            Err(_) => Err(SourceError::Stalled { place: place.to_owned(), seconds: self.stall.as_secs() }),
        }
    }

    /// A whole body of at most `most` bytes.
    pub(super) async fn whole(
        &self,
        place: &str,
        mut response: Response,
        most: usize,
    ) -> Result<Vec<u8>, SourceError> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece(place, &mut response).await? {
            let piece = piece.as_ref();
            if body.len() + piece.len() > most {
                return Err(SourceError::TooLarge { place: place.to_owned(), max: most as u64 });
            }
            body.extend_from_slice(piece);
        }
        Ok(body)
    }

    /// What an answer that is no success means.
    pub(super) async fn complaint(&self, place: &str, response: Response) -> SourceError {
        let status = response.status();
        let place = place.to_owned();
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let retry_after = header.and_then(|text| backoff::retry_after(text, SystemTime::now()));
            return SourceError::Busy { place, status: status.as_u16(), retry_after };
        }
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => SourceError::Vanished(place),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                // Whatever of it comes; the status says enough.
                let body = self.whole(&place, response, MAX_COMPLAINT).await.unwrap_or_default();
                let said = words(&body);
                if said.speaks_of_licence() {
                    SourceError::Licence { place, said: said.quoted() }
                } else {
                    SourceError::Forbidden { place, said: said.quoted() }
                }
            }
            status => SourceError::Odd { place, what: format!("answers {}", status.as_u16()) },
        }
    }
}

/// What a server said, made safe to pass on: the `message` of a JSON object, or nothing. Pages made
/// for browsers say nothing that fits a line.
struct Said(String);

fn words(body: &[u8]) -> Said {
    let message = serde_json::from_slice::<serde_json::Value>(body)
        .ok()
        .and_then(|body| Some(body.get("message")?.as_str()?.to_owned()))
        .unwrap_or_default();
    Said(message.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_SAID).collect())
}

impl Said {
    fn quoted(&self) -> String {
        match self.0.trim() {
            "" => String::new(),
            said => format!(": {said}"),
        }
    }

    /// Whether it speaks of a licence, or of rules or terms to be accepted.
    fn speaks_of_licence(&self) -> bool {
        let said = self.0.to_lowercase();
        ["licen", "accept", "terms", "rules", "consent"].iter().any(|word| said.contains(word))
    }
}

fn odd(ask: &Ask, what: String) -> SourceError {
    SourceError::Odd { place: ask.place.clone(), what }
}

/// A request or a body that broke. The URL that reqwest adds holds the secrets of signed URLs.
fn broken(place: &str, proxy: Option<&str>, error: reqwest::Error) -> SourceError {
    let error = error.without_url();
    if let Some(distrust) = distrust(&error) {
        return SourceError::Certificate { place: place.to_owned(), why: distrust.why, hint: distrust.hint };
    }
    let mut source: Option<&(dyn Error + 'static)> = error.source();
    while let Some(cause) = source {
        if let Some(PrivateAddress(host)) = cause.downcast_ref() {
            return SourceError::Private(host.clone());
        }
        // The type of this error is not public.
        if let Some(proxy) = proxy.filter(|_| cause.to_string().contains("proxy authorization required")) {
            return SourceError::Proxy(proxy.to_owned());
        }
        source = cause.source();
    }
    let through = proxy.map_or_else(String::new, |proxy| format!("through the proxy {proxy}: "));
    SourceError::Unreachable { place: place.to_owned(), why: format!("{through}{}", with_source(&error)) }
}

/// The bytes that `%41` and the like stand for; what is no such triple stands for itself.
pub(super) fn percent_decoded(text: &str) -> Vec<u8> {
    let hex = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let [byte, after @ ..] = rest {
        let triple = match (byte, after) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match triple {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                rest = &after[2..];
            }
            None => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_user_in_a_url_becomes_its_authorization() {
        for (url, sent, authorization) in [
            ("https://example.org/b.zip?sig=1#x", "https://example.org/b.zip?sig=1", None),
            ("https://al:s%40c@example.org/", "https://example.org/", Some("Basic YWw6c0Bj")),
            ("http://al@example.org/", "http://example.org/", Some("Basic YWw6")),
            ("http://:pw@example.org/", "http://example.org/", Some("Basic OnB3")),
        ] {
            let ask = Ask::of(url).expect(url);
            assert_eq!(ask.url.as_str(), sent);
            assert_eq!(ask.authorization.as_ref().and_then(|value| value.to_str().ok()), authorization);
            assert!(!format!("{ask:?}").contains("Basic "), "{ask:?}");
        }
    }

    #[test]
    fn only_plain_urls_are_taken() {
        for url in [
            "",
            "birds.zip",
            "ftp://example.org/b.zip",
            "file:///etc/passwd",
            "https:al:pw@example.org",
            "https://exa mple.org",
            "https://example.org\\@evil.org",
            "https://",
            "http://[::1",
            "https://a b",
        ] {
            let error = Ask::of(url).expect_err(url);
            assert!(matches!(error, SourceError::Url { .. }), "{error}");
        }
    }

    #[tokio::test]
    async fn private_hosts_are_refused_however_they_are_written() {
        let config = SourcesConfig { stall_s: 5, ..SourcesConfig::default() };
        let http = Http::new(&config).expect("a client");
        for host in [
            "127.0.0.1",
            "0x7f.1",
            "2130706433",
            "0177.0.0.1",
            "[::1]",
            "[::ffff:10.0.0.1]",
            "10.0.0.1",
            "169.254.169.254",
            "localhost",
            "LOCALHOST:80",
        ] {
            let ask = Ask::of(&format!("http://{host}/b.zip")).expect(host);
            let error = http.get(&ask).await.expect_err(host);
            assert!(matches!(error, SourceError::Private(_)), "{host}: {error}");
        }
    }

    #[test]
    fn what_a_server_says_is_one_safe_line() {
        for (body, said, licence) in [
            ("{\"code\":403,\"message\":\"Permission denied\"}", ": Permission denied", false),
            (
                "{\"message\":\"You must accept this dataset's rules\"}",
                ": You must accept this dataset's rules",
                true,
            ),
            ("{\"message\":\"a\\nb\"}", ": a b", false),
            ("<html>accept</html>", "", false),
            ("{\"message\":7}", "", false),
            ("", "", false),
        ] {
            let words = words(body.as_bytes());
            assert_eq!((words.quoted().as_str(), words.speaks_of_licence()), (said, licence), "{body}");
        }
        let long = format!("{{\"message\":\"{}\"}}", "é".repeat(5_000));
        assert_eq!(words(long.as_bytes()).quoted().chars().count(), MAX_SAID + 2);
    }

    proptest! {
        #[test]
        fn what_is_no_triple_stands_for_itself(text in "[^%]*", bytes: Vec<u8>) {
            prop_assert_eq!(percent_decoded(&text), text.as_bytes());
            let encoded: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(percent_decoded(&encoded), bytes);
            let _ = percent_decoded(&format!("{text}%"));
        }

        #[test]
        fn no_url_shows_its_secrets(user in "[a-z]{8}", password in "[A-Z]{8}", query in "[0-9]{8}") {
            let ask = Ask::of(&format!("https://{user}:{password}@example.org/b.zip?{query}"));
            let ask = ask.expect("plain");
            for secret in [user, password, query] {
                prop_assert!(!ask.place.contains(&secret));
            }
        }
    }
}
