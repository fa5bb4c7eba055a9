//! The agent's configuration file, and behind a zero byte a variable of its environment.

#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use tempfile::NamedTempFile;
use vigie_agent::config::Config;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (text, variable) = (parts.next().unwrap_or_default(), parts.next());
    let variable = variable.and_then(|bytes| std::str::from_utf8(bytes).ok()?.split_once('='));
    let environment = |name: &str| match (name, variable) {
        ("HOME", _) => Some("/home/alice".to_owned()),
        (name, Some((set, value))) if name == set => Some(value.to_owned()),
        _ => None,
    };
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(text).expect("written");
    match Config::load(Some(file.path()), &environment) {
        Ok(config) => {
            let shown = toml::to_string_pretty(&config).expect("what was read can be shown");
            assert_eq!(toml::from_str::<Config>(&shown).expect("what is shown is valid"), config);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
