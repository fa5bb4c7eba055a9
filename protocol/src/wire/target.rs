//! Where an agent is, as a person writes it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The way to an agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A Unix socket on this machine: `unix:/run/vigie/agent.sock`, or just the path.
    Unix(PathBuf),
    /// An agent on another machine, through the `ssh` command and `vigie stdio` over there:
    /// `ssh://alice@gpu1:2222/run/vigie/agent.sock`.
    Ssh(SshTarget),
    /// Whatever command speaks the protocol on its standard streams: `exec:docker exec -i c vigie
    /// stdio`. Split at blanks; no shell is involved.
    Exec(Vec<String>),
}

/// The parts of an `ssh://` target.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SshTarget {
    /// As whom; what ssh's own configuration says when absent.
    pub user: Option<String>,
    /// A host name, an address, or a `Host` of ssh's configuration.
    pub host: String,
    /// The port, when not what ssh's configuration says.
    pub port: Option<u16>,
    /// The agent's socket over there, when not the default one.
    pub socket: Option<String>,
}

/// A text that names no way to an agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is not an agent's address ({reason}); write a socket's path, ssh://[user@]host[:port][/socket] or exec:COMMAND"
)]
pub struct InvalidTarget {
    text: String,
    reason: &'static str,
}

impl Target {
    /// The command that reaches the agent, program first; nothing for a socket on this machine.
    pub fn command(&self) -> Option<Vec<String>> {
        match self {
            Target::Unix(_) => None,
            Target::Ssh(ssh) => Some(ssh.command()),
            Target::Exec(words) => Some(words.clone()),
        }
    }
}

impl SshTarget {
    fn command(&self) -> Vec<String> {
        let Self { user, host, port, socket } = self;
        // BatchMode: a question on a terminal that a screen is drawn on would hang both.
        let mut words = vec!["ssh".to_owned(), "-o".to_owned(), "BatchMode=yes".to_owned()];
        if let Some(port) = port {
            words.extend(["-p".to_owned(), port.to_string()]);
        }
        words.push("-T".to_owned());
        words.push(match user {
            Some(user) => format!("{user}@{host}"),
            None => host.clone(),
        });
        words.extend(["vigie".to_owned(), "stdio".to_owned()]);
        if let Some(socket) = socket {
            words.extend(["--socket".to_owned(), quote(socket)]);
        }
        words
    }
}

/// Quotes a word for the shell at the other end, which ssh hands the command to as one string.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let invalid = |reason| InvalidTarget { text: text.chars().take(200).collect(), reason };
        if let Some(rest) = text.strip_prefix("ssh://") {
            return parse_ssh(rest).map(Target::Ssh).map_err(invalid);
        }
        if let Some(command) = text.strip_prefix("exec:") {
            let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
            return if words.is_empty() { Err(invalid("no command")) } else { Ok(Target::Exec(words)) };
        }
        let path = text.strip_prefix("unix:").unwrap_or(text);
        let reason = match path.split_once(':') {
            _ if path.is_empty() => "it is empty",
            _ if path.contains('\0') => "it contains a zero byte",
            // `tcp:host`, `shh://host`: sooner a typing mistake than a file's name.
            Some((scheme, _)) if path.len() == text.len() && !scheme.contains('/') => "unknown scheme",
            _ => return Ok(Target::Unix(PathBuf::from(path))),
        };
        Err(invalid(reason))
    }
}

fn parse_ssh(rest: &str) -> Result<SshTarget, &'static str> {
    let (authority, socket) = match rest.find('/') {
        Some(at) => (&rest[..at], Some(&rest[at..]).filter(|path| *path != "/")),
        None => (rest, None),
    };
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    let (host, port) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
        Some((address, "")) => (address, None),
        Some((address, port)) => (address, Some(port.strip_prefix(':').ok_or("misplaced ]")?)),
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    // A leading dash would be an option to ssh: `-oProxyCommand=…` runs anything.
    let word = |text: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-%:".contains(c);
        !text.is_empty() && !text.starts_with('-') && text.chars().all(plain)
    };
    if !word(host) {
        return Err("bad host");
    }
    if user.is_some_and(|user| !word(user)) {
        return Err("bad user");
    }
    let port = port.map(|port| port.parse::<u16>().map_err(|_| "bad port")).transpose()?;
    if port == Some(0) {
        return Err("bad port");
    }
    if socket.is_some_and(|socket| socket.contains(['\0', '\n'])) {
        return Err("bad socket path");
    }
    Ok(SshTarget {
        user: user.map(str::to_owned),
        host: host.to_owned(),
        port,
        socket: socket.map(str::to_owned),
    })
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
            Target::Exec(words) => write!(f, "exec:{}", words.join(" ")),
            Target::Ssh(SshTarget { user, host, port, socket }) => {
                f.write_str("ssh://")?;
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                if host.contains(':') {
                    write!(f, "[{host}]")?
                } else {
                    f.write_str(host)?
                }
                if let Some(port) = port {
                    write!(f, ":{port}")?;
                }
                f.write_str(socket.as_deref().unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_and_written() {
        // What is typed, how it is written back, the command it means.
        let cases = [
            ("/run/a.sock", "unix:/run/a.sock", None),
            ("unix:rel/a.sock", "unix:rel/a.sock", None),
            ("./odd:name", "unix:./odd:name", None),
            ("ssh://gpu1", "ssh://gpu1", Some("ssh -o BatchMode=yes -T gpu1 vigie stdio")),
            ("ssh://gpu1/", "ssh://gpu1", Some("ssh -o BatchMode=yes -T gpu1 vigie stdio")),
            (
                "ssh://al@gpu1:22/s/a.sock",
                "ssh://al@gpu1:22/s/a.sock",
                Some("ssh -o BatchMode=yes -p 22 -T al@gpu1 vigie stdio --socket /s/a.sock"),
            ),
            (
                "ssh://[::1]:2222/my $(sock)'s",
                "ssh://[::1]:2222/my $(sock)'s",
                Some(r"ssh -o BatchMode=yes -p 2222 -T ::1 vigie stdio --socket '/my $(sock)'\''s'"),
            ),
            ("exec:a  b c", "exec:a b c", Some("a b c")),
        ];
        for (text, written, command) in cases {
            let target: Target = text.parse().expect(text);
            assert_eq!(target.to_string(), written);
            assert_eq!(written.parse::<Target>().as_ref(), Ok(&target));
            assert_eq!(target.command().map(|words| words.join(" ")).as_deref(), command, "{text}");
        }
    }

    #[test]
    fn traps_are_refused() {
        for text in [
            "",
            "unix:",
            "exec:",
            "exec:  ",
            "tcp:host:1",
            "https://host",
            "ssh://",
            "ssh://-oProxyCommand=x",
            "ssh://-l@host",
            "ssh://a b",
            "ssh://host:0",
            "ssh://host:99999",
            "ssh://[::1]x",
            "ssh://host;reboot",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}
