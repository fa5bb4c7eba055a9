//! What is wrong with a server's certificate: asking again would show the same one.

use std::error::Error;
use std::io;

use jiff::Timestamp;
use rustls::CertificateError;
use rustls::pki_types::UnixTime;

/// Names of a certificate that are told.
const NAMES: usize = 3;

/// Why a server is not trusted, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Distrust {
    pub(super) why: String,
    pub(super) hint: &'static str,
}

const AUTHORITY: &str = "if it is an authority of your own, of a mirror or of a proxy that reads along, name its certificates (PEM) as `ca_file` under [sources]";
const CLOCK: &str = "its server needs another certificate, unless this machine's clock is wrong";
const NAME: &str = "check the host in the URL";
const SERVER: &str = "its server needs another certificate";

/// Finds a certificate that was refused among the causes of an error.
pub(super) fn distrust(error: &(dyn Error + 'static)) -> Option<Distrust> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(rustls::Error::InvalidCertificate(problem)) = cause.downcast_ref() {
            return Some(told(problem));
        }
        // What an I/O error wraps is not among its sources, only what is behind that.
        let wrapped = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped),
            None => cause.source(),
        };
    }
    None
}

fn told(problem: &CertificateError) -> Distrust {
    let on = |time: &UnixTime| {
        let seconds = i64::try_from(time.as_secs()).ok().and_then(|s| Timestamp::from_second(s).ok());
        seconds.map_or_else(String::new, |time| format!(" {}", time.strftime("%Y-%m-%d")))
    };
    let (why, hint) = match problem {
        CertificateError::UnknownIssuer => {
            ("its certificate is from an authority that this machine does not know".to_owned(), AUTHORITY)
        }
        CertificateError::Expired => ("its certificate has expired".to_owned(), CLOCK),
        CertificateError::ExpiredContext { not_after, .. } => {
            (format!("its certificate has expired:{}", on(not_after)), CLOCK)
        }
        CertificateError::NotValidYet => ("its certificate is not valid yet".to_owned(), CLOCK),
        CertificateError::NotValidYetContext { not_before, .. } => {
            (format!("its certificate is not valid before{}", on(not_before)), CLOCK)
        }
        CertificateError::NotValidForName => ("its certificate is for another host".to_owned(), NAME),
        CertificateError::NotValidForNameContext { expected, presented } => {
            // They come as `DnsName("localhost")`.
            let bare = |name: &String| safe(name.split('"').nth(1).unwrap_or(name));
            let names: Vec<String> = presented.iter().take(NAMES).map(bare).collect();
            let names = names.join(", ");
            (format!("its certificate is for {names}, not for {}", expected.to_str()), NAME)
        }
        CertificateError::Revoked => ("its certificate was revoked".to_owned(), SERVER),
        other => (format!("its certificate is no good: {}", safe(&other.to_string())), SERVER),
    };
    Distrust { why, hint }
}

/// A short line whatever a certificate holds.
fn safe(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}
