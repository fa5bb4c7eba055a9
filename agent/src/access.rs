//! Who is at the other end of a Unix socket, and what they may do here.
//!
//! The kernel gives a user id; names and groups come from `/etc/passwd` and `/etc/group`. Users of a
//! directory service (LDAP, sssd) are not in those files: name them in the configuration by number
//! (`"uid:1007" = "operator"`, `"gid:100" = "viewer"`). The C library's lookup would know them, but
//! it may block for minutes on a network.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vigie_protocol::access::{Principal, Role};
use vigie_protocol::wire::unix::Peer;
use vigie_protocol::{ApiError, ErrorCode};

/// More of a user database is not read. A million users fit.
const MAX_DATABASE: u64 = 64 * 1024 * 1024;

/// The part of the configuration that says who may do what. Root and the agent's own user are
/// always admin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AccessConfig {
    /// By user: `alice = "operator"`, `"uid:1007" = "viewer"`. Decides alone, whatever the groups say.
    pub roles: BTreeMap<String, KnownRole>,
    /// By group: `staff = "viewer"`, `"gid:100" = "viewer"`. The greatest of a user's groups counts.
    pub groups: BTreeMap<String, KnownRole>,
    /// Everybody else who can open the socket; nobody else when absent.
    pub default: Option<KnownRole>,
}

/// A role as configured. On the wire an unknown role is tolerated; in a configuration it is a
/// mistake, and read from here it says so with line and column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KnownRole(Role);

impl TryFrom<String> for KnownRole {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl From<KnownRole> for String {
    fn from(KnownRole(role): KnownRole) -> Self {
        role.to_string()
    }
}

/// Recognises callers. User databases are read anew for each connection, so that a user added today
/// needs no restart.
#[derive(Clone, Debug)]
pub struct Access {
    config: AccessConfig,
    own_uid: u32,
    passwd: PathBuf,
    group: PathBuf,
}

impl Access {
    /// Recognition by `config`, for an agent that runs as `own_uid`.
    pub fn new(config: AccessConfig, own_uid: u32) -> Self {
        Self { config, own_uid, passwd: "/etc/passwd".into(), group: "/etc/group".into() }
    }

    /// Whether `uid` is root or the agent's own user, who are always admin.
    pub fn is_keeper(&self, uid: u32) -> bool {
        uid == 0 || uid == self.own_uid
    }

    /// Who `peer` is. Reads files.
    ///
    /// # Errors
    /// `Forbidden` when the configuration gives them no role.
    pub fn principal(&self, peer: &Peer) -> Result<Principal, ApiError> {
        let Peer { uid, gid, pid } = *peer;
        let name = read(&self.passwd).and_then(|users| user_name(&users, uid));
        let by_number = format!("uid:{uid}");
        let role = if self.is_keeper(uid) {
            Some(Role::Admin)
        } else {
            let AccessConfig { roles, groups, default } = &self.config;
            let own = name.as_ref().and_then(|name| roles.get(name)).or_else(|| roles.get(&by_number));
            let of_groups = || {
                let database = read(&self.group).unwrap_or_default();
                let of_user = group_names(&database, name.as_deref(), gid);
                of_user.iter().filter_map(|group| groups.get(group)).max()
            };
            own.copied().or_else(|| of_groups().copied()).or(*default).map(|KnownRole(role)| role)
        };
        let name = name.unwrap_or(by_number);
        let Some(role) = role else {
            let error = ApiError::new(ErrorCode::Forbidden, format!("{name} has no role on this agent"));
            return Err(error.with_hint(format!(
                "an administrator can give one in the agent's configuration: [access.roles] {name:?} = \"viewer\""
            )));
        };
        let process = pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
        Ok(Principal { name, role, via: format!("unix socket, uid {uid}{process}") })
    }
}

/// A user database's text; nothing when it cannot be read, and then nobody has a name.
fn read(path: &Path) -> Option<String> {
    let bytes = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(MAX_DATABASE).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match bytes() {
        Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the user database cannot be read");
            None
        }
    }
}

/// The name of a user in the text of `passwd(5)`.
fn user_name(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, found) = (fields.next()?, fields.nth(1)?);
        // `+` and `-` lines include or exclude users of directory services.
        (found.parse() == Ok(uid) && !name.is_empty() && !name.starts_with(['+', '-', '#']))
            .then(|| name.to_owned())
    })
}

/// The groups of a user in the text of `group(5)`, by name and as `gid:N`.
fn group_names(group: &str, user: Option<&str>, primary: u32) -> Vec<String> {
    let mut names = vec![format!("gid:{primary}")];
    for line in group.lines() {
        let fields: Vec<&str> = line.splitn(4, ':').collect();
        let [name, _, gid, members] = fields[..] else { continue };
        let Ok(gid) = gid.parse::<u32>() else { continue };
        let listed = user.is_some_and(|user| members.split(',').any(|member| member.trim() == user));
        if gid == primary || listed {
            names.push(name.to_owned());
            names.push(format!("gid:{gid}"));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n+nis::::::\nbroken\nalice:x:1001:100::/:\n\
                          bob:x:1002:100::/:\nagent:x:990:990::/:\ncarol:x:1003:77::/:\n";
    const GROUP: &str = "root:x:0:\nstaff:x:100:\nml:x:300:alice, bob\nbroken:x\nops:x:301:bob\n";

    fn access(config: &str) -> (tempfile::TempDir, Access) {
        let folder = tempfile::tempdir().expect("folder");
        let (passwd, group) = (folder.path().join("passwd"), folder.path().join("group"));
        std::fs::write(&passwd, PASSWD).expect("passwd");
        std::fs::write(&group, GROUP).expect("group");
        let config = toml::from_str(config).expect("config");
        (folder, Access { config, own_uid: 990, passwd, group })
    }

    #[test]
    fn roles_follow_from_user_then_groups_then_default() {
        let config = r#"
            default = "viewer"
            [roles]
            carol = "labeller"
            alice = "viewer"
            "uid:5000" = "operator"
            [groups]
            ml = "labeller"
            ops = "operator"
            "gid:600" = "admin"
        "#;
        let (_folder, access) = access(config);
        let cases = [
            (0, 0, "root", Role::Admin),
            (990, 990, "agent", Role::Admin),
            (1003, 77, "carol", Role::Labeller),
            // Her own entry decides, although her group would give more.
            (1001, 100, "alice", Role::Viewer),
            // The greater of two groups.
            (1002, 100, "bob", Role::Operator),
            (5000, 5000, "uid:5000", Role::Operator),
            (5001, 600, "uid:5001", Role::Admin),
            (5001, 301, "uid:5001", Role::Operator),
            (5001, 5001, "uid:5001", Role::Viewer),
        ];
        for (uid, gid, name, role) in cases {
            let principal = access.principal(&Peer { uid, gid, pid: Some(42) }).expect(name);
            assert_eq!((principal.name.as_str(), principal.role), (name, role), "{uid}:{gid}");
            assert_eq!(principal.via, format!("unix socket, uid {uid}, pid 42"));
        }
    }

    #[test]
    fn without_a_role_nobody_comes_in() {
        let (_folder, access) = access("");
        let refused = access.principal(&Peer { uid: 1001, gid: 100, pid: None }).expect_err("no role");
        assert_eq!(
            (refused.code, refused.message.as_str()),
            (ErrorCode::Forbidden, "alice has no role on this agent")
        );
        assert!(access.principal(&Peer { uid: 0, gid: 0, pid: None }).is_ok());
    }

    #[test]
    fn unreadable_databases_leave_numbers() {
        let (folder, mut access) = access("default = \"viewer\"");
        access.passwd = folder.path().join("gone");
        access.group = folder.path().join("gone");
        let principal = access.principal(&Peer { uid: 1001, gid: 100, pid: None }).expect("default");
        assert_eq!((principal.name.as_str(), principal.role), ("uid:1001", Role::Viewer));
        assert_eq!(access.principal(&Peer { uid: 0, gid: 0, pid: None }).expect("root").role, Role::Admin);
    }

    #[test]
    fn mistakes_in_the_configuration_are_errors() {
        for text in ["rolls = {}", "[roles]\nalice = \"boss\"", "default = 3"] {
            assert!(toml::from_str::<AccessConfig>(text).is_err(), "{text}");
        }
    }
}
