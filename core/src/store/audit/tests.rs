//! What the audit log must do.

#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;

fn draft(n: u64) -> AuditDraft {
    AuditDraft {
        key: None,
        at: Time::from_micros(i64::try_from(n).unwrap()),
        principal: "ada".to_owned(),
        role: "admin".to_owned(),
        via: "unix".to_owned(),
        method: "promote".to_owned(),
        target: "birds/production\nv7".to_owned(),
        outcome: "ok".to_owned(),
        // Of many lengths, so that lines meet the ends of blocks.
        reason: (!n.is_multiple_of(3)).then(|| "because ".repeat(usize::try_from(n % 400).unwrap())),
    }
}

fn filled(lines: u64) -> (tempfile::TempDir, PathBuf, AuditLog) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let log = AuditLog::open(&path).unwrap();
    for n in 1..=lines {
        assert_eq!(log.append(&draft(n)).unwrap().seq, n);
    }
    (dir, path, log)
}

#[test]
fn lines_follow_from_one_another_over_restarts() {
    let (_dir, path, log) = filled(3);
    let head = log.verify().unwrap().head;
    drop(log);
    let log = AuditLog::open(&path).unwrap();
    assert_eq!((log.append(&draft(4)).unwrap().prev, log.cut_bytes()), (head, 0));
    let check = log.verify().unwrap();
    assert_eq!((check.lines, check.broken_at), (4, None));
}

#[test]
fn pages_come_newest_first_from_anywhere() {
    let (_dir, _path, log) = filled(500);
    for before in [None, Some(1), Some(2), Some(37), Some(250), Some(499), Some(500), Some(501), Some(9_999)]
    {
        for limit in [1, 10, 1_000] {
            let newest = before.map_or(500, |before: u64| (before - 1).min(500));
            let expected: Vec<u64> = (1..=newest).rev().take(limit).collect();
            let found: Vec<u64> = log.page(before, limit).unwrap().iter().map(|line| line.seq).collect();
            assert_eq!(found, expected, "{before:?} {limit}");
        }
    }
    assert_eq!(log.page(None, 1).unwrap()[0].reason, draft(500).reason);
}

#[test]
fn an_empty_log_has_no_pages() {
    let (_dir, _path, log) = filled(0);
    assert_eq!(log.page(None, 10).unwrap(), []);
    assert_eq!(log.verify().unwrap(), AuditCheck { lines: 0, broken_at: None, head: start(), torn: false });
}

#[test]
fn a_torn_line_is_cut_off() {
    let (_dir, path, log) = filled(3);
    drop(log);
    let whole = std::fs::read(&path).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    for end in last + 1..whole.len() {
        std::fs::write(&path, &whole[..end]).unwrap();
        let log = AuditLog::open(&path).unwrap();
        assert_eq!(log.cut_bytes(), (end - last) as u64);
        assert_eq!(log.append(&draft(3)).unwrap().seq, 3);
        assert_eq!(log.verify().unwrap().lines, 3);
    }
}

#[test]
fn a_changed_line_is_found() {
    let (_dir, path, log) = filled(5);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let changed = text.replacen(
        "\"seq\":3,\"at\":\"1970-01-01T00:00:00.000003Z\",\"principal\":\"ada\"",
        "\"seq\":3,\"at\":\"1970-01-01T00:00:00.000003Z\",\"principal\":\"eve\"",
        1,
    );
    let removed = [&lines[..2], &lines[3..]].concat().join("\n") + "\n";
    let swapped = [lines[0], lines[2], lines[1], lines[3], lines[4]].join("\n") + "\n";
    let spoilt = text.replacen("{\"seq\":2", "{seq:2", 1);
    for (name, text, good) in
        [("changed", changed, 3), ("removed", removed, 2), ("swapped", swapped, 1), ("spoilt", spoilt, 1)]
    {
        std::fs::write(&path, text).unwrap();
        let log = AuditLog::open(&path).unwrap();
        let check = log.verify().unwrap();
        assert_eq!(check.lines, good, "{name}");
        assert!(check.broken_at.unwrap().starts_with(&format!("line {}", good + 1)), "{name}");
    }
    drop(log);
}

#[test]
fn a_key_gets_one_line_over_restarts() {
    let (_dir, path, log) = filled(3);
    let keyed = AuditDraft { key: Some(IdempotencyKey::new()), ..draft(4) };
    let line = log.append(&keyed).unwrap();
    assert_eq!(log.append(&keyed).unwrap(), line);
    drop(log);
    let log = AuditLog::open(&path).unwrap();
    assert_eq!(log.append(&keyed).unwrap(), line);
    assert_eq!(log.append(&draft(5)).unwrap().seq, 5);
    assert_eq!(log.verify().unwrap().lines, 5);
}

#[test]
fn no_text_is_too_long_for_a_line() {
    let (_dir, path, log) = filled(2);
    let endless = || "\u{1}é".repeat(1 << 20);
    let long = AuditDraft { target: endless(), outcome: endless(), reason: Some(endless()), ..draft(3) };
    let line = log.append(&long).unwrap();
    assert!(line.target.starts_with("\u{1}é") && line.target.ends_with('…'));
    assert!(line.target.len() <= TEXT_BYTES + '…'.len_utf8());
    drop(log);
    let log = AuditLog::open(&path).unwrap();
    assert_eq!(log.page(None, 1).unwrap(), [line]);
    assert_eq!(log.verify().unwrap().broken_at, None);
}
