//! Kaggle's credentials: found where its own client looks for them, in the same order, read anew for
//! each use so that a new token needs no restart, and never shown.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use reqwest::header::HeaderValue;
use serde::Deserialize;

use super::error::SourceError;
use super::http::{basic, bearer};

/// No file of credentials is longer, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// A lookup of environment variables.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What was found.
#[derive(Debug)]
pub(super) struct Credentials {
    /// What `Authorization` says.
    pub(super) authorization: HeaderValue,
    /// Where they were found: the name of a variable or a file.
    pub(super) from: String,
    /// What is wrong with the place, if something is.
    pub(super) warning: Option<String>,
}

/// Looks for credentials: the configured file (`configured`), else `$KAGGLE_API_TOKEN` (a token, or a
/// file with one), else `~/.kaggle/access_token`, else `$KAGGLE_USERNAME` and `$KAGGLE_KEY`, else
/// `~/.kaggle/kaggle.json`. Nothing found is no error: many datasets are public. Blocks.
///
/// # Errors
/// When a file that is there cannot be read or understood.
pub(super) fn find(configured: &Path, variables: Variables<'_>) -> Result<Option<Credentials>, SourceError> {
    let set = |name: &str| variables(name).filter(|value| !value.is_empty());
    if !configured.as_os_str().is_empty() {
        return match from_file(configured)? {
            Some(found) => Ok(Some(found)),
            None => Err(unusable(configured, io::Error::from(io::ErrorKind::NotFound))),
        };
    }
    let home = set("HOME").map(|home| Path::new(&home).join(".kaggle"));
    let at_home = |name: &str| home.as_ref().map(|home| home.join(name));

    if let Some(token) = set("KAGGLE_API_TOKEN") {
        let file = Path::new(&token);
        if file.is_absolute() && file.exists() {
            return from_file(file);
        }
        return found(bearer(token.trim()), "$KAGGLE_API_TOKEN".to_owned(), None);
    }
    if let Some(credentials) = at_home("access_token").map_or(Ok(None), |file| from_file(&file))? {
        return Ok(Some(credentials));
    }
    if let (Some(user), Some(key)) = (set("KAGGLE_USERNAME"), set("KAGGLE_KEY")) {
        let from = "$KAGGLE_USERNAME and $KAGGLE_KEY".to_owned();
        return found(Some(basic(user.as_bytes(), key.as_bytes())), from, None);
    }
    at_home("kaggle.json").map_or(Ok(None), |file| from_file(&file))
}

/// A file as older clients write it.
#[derive(Deserialize)]
struct KaggleJson {
    username: String,
    key: String,
}

/// Reads a token or a `kaggle.json`; nothing when the file is missing.
fn from_file(path: &Path) -> Result<Option<Credentials>, SourceError> {
    let shown = path.display().to_string();
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path, error)),
    };
    let mode = file.metadata().map_err(|error| unusable(path, error))?.permissions().mode();
    let warning = (mode & 0o077 != 0).then(|| {
        format!("{shown} can be read by others than its owner (mode {:o}): chmod 600 it", mode & 0o777)
    });
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text).map_err(|error| unusable(path, error))?;
    let authorization = match text.trim() {
        "" => None,
        text if text.starts_with('{') => match serde_json::from_str::<KaggleJson>(text) {
            Ok(KaggleJson { username, key }) => Some(basic(username.as_bytes(), key.as_bytes())),
            // The error of the parser would quote the file.
            Err(_) => return Err(unusable(path, io::Error::other("it has no username and key"))),
        },
        token => bearer(token),
    };
    found(authorization, shown, warning)
}

fn found(
    authorization: Option<HeaderValue>,
    from: String,
    warning: Option<String>,
) -> Result<Option<Credentials>, SourceError> {
    match authorization {
        Some(authorization) => Ok(Some(Credentials { authorization, from, warning })),
        None => Err(unusable(Path::new(&from), io::Error::other("it holds no token"))),
    }
}

fn unusable(path: &Path, source: io::Error) -> SourceError {
    SourceError::Io { what: format!("Kaggle's credentials in {}", path.display()), source }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::path::PathBuf;

    use super::*;

    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            fs::create_dir(home.path().join(".kaggle")).unwrap();
            Self(home)
        }

        fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
            let path = self.0.path().join(".kaggle").join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        }

        fn find(&self, configured: &Path, variables: &[(&str, &str)]) -> Result<Option<Credentials>, String> {
            let home = self.0.path().to_str().unwrap();
            let usual = [("HOME", home)];
            let lookup = |name: &str| {
                let mut all = variables.iter().chain(&usual);
                all.find(|(variable, _)| *variable == name).map(|(_, value)| (*value).to_owned())
            };
            find(configured, &lookup).map_err(|error| format!("{error}: {error:?}"))
        }

        fn said(&self, variables: &[(&str, &str)]) -> Option<String> {
            let found = self.find(Path::new(""), variables).unwrap()?;
            Some(found.authorization.to_str().unwrap().to_owned())
        }
    }

    const LEGACY: &str = r#"{"username":"al","key":"legacy"}"#;

    #[test]
    fn the_order_is_that_of_kaggles_client() {
        let home = Home::new();
        assert_eq!(home.said(&[]), None);
        home.file("kaggle.json", LEGACY, 0o600);
        assert_eq!(home.said(&[]).as_deref(), Some("Basic YWw6bGVnYWN5"));
        let pair = [("KAGGLE_USERNAME", "al"), ("KAGGLE_KEY", "k")];
        assert_eq!(home.said(&pair).as_deref(), Some("Basic YWw6aw=="));
        home.file("access_token", "token\n", 0o600);
        assert_eq!(home.said(&pair).as_deref(), Some("Bearer token"));
        let token = [("KAGGLE_API_TOKEN", "env"), pair[0], pair[1]];
        assert_eq!(home.said(&token).as_deref(), Some("Bearer env"));
        let file = home.file("other", "of a file", 0o600);
        let named = [("KAGGLE_API_TOKEN", file.to_str().unwrap())];
        assert_eq!(home.said(&named).as_deref(), Some("Bearer of a file"));
        assert_eq!(home.said(&[("KAGGLE_API_TOKEN", "")]).as_deref(), Some("Bearer token"));
    }

    #[test]
    fn a_configured_file_is_the_only_place() {
        let home = Home::new();
        home.file("access_token", "token", 0o600);
        let configured = home.file("mine", LEGACY, 0o600);
        let found = home.find(&configured, &[("KAGGLE_API_TOKEN", "env")]).unwrap().unwrap();
        assert_eq!(found.authorization.to_str().unwrap(), "Basic YWw6bGVnYWN5");
        assert_eq!((found.from.as_str(), found.warning), (configured.to_str().unwrap(), None));
        assert!(home.find(Path::new("/no/such/file"), &[]).is_err());
    }

    #[test]
    fn files_that_others_can_read_are_told_of() {
        let home = Home::new();
        for (mode, warns) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            home.file("access_token", "token", mode);
            let warning = home.find(Path::new(""), &[]).unwrap().unwrap().warning;
            assert_eq!(warning.is_some(), warns, "{mode:o}: {warning:?}");
        }
    }

    #[test]
    fn nothing_shows_a_secret() {
        let home = Home::new();
        home.file("access_token", "SECRET", 0o600);
        let found = home.find(Path::new(""), &[]).unwrap();
        assert!(!format!("{found:?}").contains("SECRET"), "{found:?}");
        for bad in ["{\"username\":\"al\",\"SECRET\":1}", "{SECRET", "SEC\nRET", "SECRET\u{7f}"] {
            home.file("access_token", bad, 0o600);
            let error = home.find(Path::new(""), &[]).unwrap_err();
            assert!(!error.contains("SEC"), "{error}");
        }
    }
}
