//! The daemon's command line, as a person meets it. (That this test needs the binary is also what
//! makes `cargo test` build it for the end-to-end tests.)

use std::path::Path;
use std::process::{Command, Output};

fn agent(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vigie-agent"))
        .args(arguments)
        .env_clear()
        .env("HOME", "/nonexistent")
        .output()
        .expect("the binary runs")
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn help_teaches() {
    let output = agent(&["--help"]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success());
    for word in ["run", "backup", "restore", "config check", "Signals"] {
        assert!(text.contains(word), "{word} is not in:\n{text}");
    }
    assert!(!text.contains("worker"), "the worker is not for people");
}

#[test]
fn config_check_says_where() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/agent.toml");
    let output = agent(&["config", "check", shipped.to_str().expect("path")]);
    assert!(output.status.success(), "{}", errors(&output));

    let file = tempfile::NamedTempFile::new().expect("file");
    std::fs::write(file.path(), "[serving]\nqueue = 1\nthreds = 2\n").expect("written");
    let output = agent(&["config", "check", file.path().to_str().expect("path")]);
    let said = errors(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("line 3") && said.contains("threds"), "{said}");
}

#[test]
fn config_show_merges_file_environment_and_flags() {
    let output = Command::new(env!("CARGO_BIN_EXE_vigie-agent"))
        .args(["config", "show", "--state", "/srv/vigie"])
        .env_clear()
        .env("VIGIE_SERVING_QUEUE", "7")
        .output()
        .expect("the binary runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("queue = 7") && text.contains("socket = \"/srv/vigie/agent.sock\""), "{text}");
}

#[test]
fn a_restore_of_nothing_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let state = folder.path().join("state");
    let backup = folder.path().join("no-backup");
    let output =
        agent(&["restore", backup.to_str().expect("path"), "--state", state.to_str().expect("path")]);
    assert!(!output.status.success() && !state.join("meta.redb").exists());
    assert!(errors(&output).starts_with("error: "), "{}", errors(&output));
}
