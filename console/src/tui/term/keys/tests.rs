use super::*;

use crossterm::event::MouseEvent;
use proptest::prelude::*;

/// Feeds the pieces one after the other, then lets time pass.
fn decode(pieces: &[&[u8]]) -> Vec<InputEvent> {
    let (mut decoder, mut events) = (Decoder::default(), Vec::new());
    for piece in pieces {
        decoder.feed(piece, &mut events);
    }
    decoder.decide(&mut events);
    assert!(!decoder.is_undecided());
    events
}

/// A short spelling: `C-a`, `S-Tab`, `paste "x"`.
fn spell(events: &[InputEvent]) -> String {
    let spelled = events.iter().map(|event| match event {
        InputEvent::Key(key) => {
            let held =
                [(KeyModifiers::CONTROL, "C-"), (KeyModifiers::ALT, "A-"), (KeyModifiers::SHIFT, "S-")];
            let held: String = held
                .iter()
                .filter(|(modifier, _)| key.modifiers.contains(*modifier))
                .map(|(_, name)| *name)
                .collect();
            format!("{held}{}", key.code.to_string().replace(' ', ""))
        }
        InputEvent::Paste(text) => format!("paste {text:?}"),
        InputEvent::Mouse(MouseEvent { kind, column, row, modifiers }) => {
            let held = if modifiers.is_empty() { String::new() } else { format!(" with {modifiers}") };
            format!("{kind:?} {column},{row}{held}")
        }
        InputEvent::Gone => "gone".into(),
    });
    spelled.collect::<Vec<_>>().join(" ")
}

#[test]
fn bytes_become_events() {
    for (bytes, expected) in [
        ("q", "q"),
        ("Q", "S-Q"),
        ("é€𝄞", "é € 𝄞"),
        ("\r\t\x7f", "Enter Tab Backspace"),
        ("\n\x01\x1a\x08", "C-j C-a C-z C-h"),
        ("\0\x1c\x1f", "C-Space C-4 C-7"),
        ("\x1b", "Esc"),
        ("\x1b\x1b", "Esc Esc"),
        ("\x1b\x1b[A", "Esc Up"),
        ("\x1bx\x1b\x7f\x1bé\x1b\r", "A-x A-Backspace A-é A-Enter"),
        ("\x1b[", "A-["),
        ("\x1bO", "A-S-O"),
        ("\x1b]", "A-]"),
        ("\x1b[A\x1b[B\x1b[C\x1b[D\x1b[H\x1b[F", "Up Down Right Left Home End"),
        ("\x1bOA\x1bOH\x1bOP\x1bOS\x1bOM", "Up Home F1 F4 Enter"),
        ("\x1b[1;5A\x1b[1;2H\x1b[1;3P\x1b[1;8D", "C-Up S-Home A-F1 C-A-S-Left"),
        ("\x1b[1~\x1b[2~\x1b[3~\x1b[4~\x1b[5~\x1b[6~", "Home Insert Del End PageUp PageDown"),
        ("\x1b[15~\x1b[17~\x1b[21~\x1b[24~\x1b[34~", "F5 F6 F10 F12 F20"),
        ("\x1b[3;5~\x1b[Z", "C-Del S-BackTab"),
        ("\x1b[[A\x1b[[E", "F1 F5"),
        // CSI u and modifyOtherKeys.
        ("\x1b[97;5u\x1b[13;2u\x1b[9;2u\x1b[27u", "C-a S-Enter S-BackTab Esc"),
        ("\x1b[27;5;105~\x1b[97:65;2u", "C-i S-a"),
        // The mouse.
        ("\x1b[<0;1;1M\x1b[<0;10;5m", "Down(Left) 0,0 Up(Left) 9,4"),
        ("\x1b[<32;300;2M\x1b[<64;1;1M\x1b[<65;1;1M", "Drag(Left) 299,1 ScrollUp 0,0 ScrollDown 0,0"),
        ("\x1b[<18;3;4M", "Down(Right) 2,3 with Control"),
        ("\x1b[<0;0;1M\x1b[M !!x", "x"),
        // What nobody asked for.
        ("\x1b[?62;22cx\x1b[0nx\x1b[8;24;80tx\x1b[?2026;2$yx\x1b[Ix", "x x x x x"),
        ("\x1b]11;rgb:0/0/0\x07x\x1b]11;rgb:0/0/0\x1b\\x\x1bP>|XTerm\x1b\\x", "x x x"),
        // What is cut short.
        ("\x1b[1;5", ""),
        ("\x1b[1;\x1b[A", "Up"),
        ("\x1b[99999999999;5A", "C-Up"),
        // Pastes.
        ("\x1b[200~\x1b[201~x", "paste \"\" x"),
        ("\x1b[200~a\r\x1b[A\x1b[201\x1b[201~q", "paste \"a\\r\\u{1b}[A\\u{1b}[201\" q"),
    ] {
        assert_eq!(spell(&decode(&[bytes.as_bytes()])), expected, "{bytes:?}");
    }
    assert_eq!(spell(&decode(&[b"\xff\xc3x\xe2\x82", b"\xacy\xe2"])), "x € y", "not UTF-8, or not at once");
}

#[test]
fn long_answers_are_no_keys() {
    for end in ["\x07", "\x1b\\"] {
        let answer = format!("\x1b]52;c;{}{end}x", "A".repeat(10_000));
        assert_eq!(spell(&decode(&[answer.as_bytes()])), "x");
    }
    let endless = format!("\x1bP{}", "A".repeat(10_000));
    assert_eq!(spell(&decode(&[endless.as_bytes()])), "", "and keys count again after it went quiet");
}

#[test]
fn long_pastes_are_cut() {
    let text = "x".repeat(PASTE_LIMIT + 7);
    let events = decode(&[b"\x1b[200~", text.as_bytes(), b"\x1b[201~q"]);
    let [InputEvent::Paste(paste), InputEvent::Key(key)] = events.as_slice() else {
        panic!("{} events", events.len());
    };
    assert_eq!((paste.len(), key.code), (PASTE_LIMIT, KeyCode::Char('q')));
}

proptest! {
    /// However a link tears the bytes apart, they mean the same.
    #[test]
    fn pieces_do_not_matter(
        bytes in prop::collection::vec(prop_oneof![Just(ESC), Just(b'['), Just(b';'), any::<u8>()], 0..64),
        cuts in prop::collection::vec(0_usize..64, 0..4),
    ) {
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        let (mut pieces, mut from) = (Vec::new(), 0);
        for cut in cuts.into_iter().chain([bytes.len()]) {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        prop_assert_eq!(decode(&pieces), decode(&[&bytes]));
    }
}
